"""The rank that a launcher has given this process, read from the environment."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Rank, and how many there are, the innermost launcher first: torchrun is started by Slurm, and not the other way round.
# SLURM_NTASKS is not asked: it is set in a batch script too, which is a single process.
_VARIABLES = (
    ("RANK", "WORLD_SIZE"),  # torchrun, accelerate, DeepSpeed
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),  # MVAPICH2
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("LOCAL_RANK", "WORLD_SIZE"),  # Lightning, which numbers within a node
)


def launched(environment: Mapping[str, str] = os.environ) -> tuple[int, str] | None:
    """Return the rank and the variable that says so; None where no launcher of several processes is seen."""
    for variable, count in _VARIABLES:
        rank, world = environment.get(variable, ""), environment.get(count, "")
        if rank.isdecimal() and (int(rank) > 0 or (world.isdecimal() and int(world) > 1)):
            return int(rank), variable
    return None


def rank_here(of_shard: int = 0) -> int:
    """Return this process's rank: as a launcher says, or else that of its shard, which is 0 where there is none."""
    found = launched()
    return of_shard if found is None else found[0]


def warn_if_unsharded(shard: object) -> None:
    """Warn the caller's caller of a feed that gives each of several ranks all samples, where it was not asked for."""
    found = launched() if shard is None else None
    if found is not None:
        rank, variable = found
        warnings.warn(
            f"this process is rank {rank} of several ({variable}={rank}), and each of them gets all samples, in the "
            f"same order: pass shard=({rank}, world) for a part of them, or shard=(0, 1) if each is to get them all",
            stacklevel=3,
        )

"""The rank that a launcher has given this process, read from the environment."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from fastfeed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


# Accelerate's sizes of tensor and context parallel groups: above 1, several ranks need the same samples.
_MODEL_PARALLEL = ("PARALLELISM_CONFIG_TP_SIZE", "PARALLELISM_CONFIG_CP_SIZE")


def automatic(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return (rank, world) as torch.distributed, JAX or the launcher says it; (0, 1) where none says anything.

    Raises
    ------
    ConfigError
        If they disagree, or several ranks must be given the same samples.
    """
    for variable in _MODEL_PARALLEL:
        size = environment.get(variable, "")
        if size.isdecimal() and int(size) > 1:
            raise ConfigError(
                f"shard='auto': {variable}={size}, so several ranks need the same samples: pass shard=(rank, world) of "
                f"the data parallel group"
            )
    said = list(_said(environment))
    if not said:
        return 0, 1
    (first, rank, world), *others = said
    for other, other_rank, other_world in others:
        if (other_rank, other_world) != (rank, world):
            raise ConfigError(
                f"shard='auto': {first} says rank {rank} of {world}, and {other} says rank {other_rank} of "
                f"{other_world}: pass shard=(rank, world)"
            )
    return rank, world


def _said(environment: Mapping[str, str]) -> Iterator[tuple[str, int, int]]:
    """Yield who says so, the rank, and how many there are."""
    # Neither is imported for this: what was not imported was not initialised.
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        yield "torch.distributed", distributed.get_rank(), distributed.get_world_size()
    jax: Any = sys.modules.get("jax")
    if jax is not None and jax.distributed.is_initialized():
        yield "JAX", jax.process_index(), jax.process_count()
    for variable, count in _VARIABLES:
        rank, world = environment.get(variable, ""), environment.get(count, "")
        if variable == "LOCAL_RANK" or (rank in ("", "0") and not world):
            continue
        if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
            if not rank:
                continue
            raise ConfigError(
                f"shard='auto': {variable}={rank} and {count}={world or 'nothing'} are no rank and number of ranks: "
                f"start all ranks by one launcher, or pass shard=(rank, world)"
            )
        yield f"{variable}={rank}", int(rank), int(world)
        return


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

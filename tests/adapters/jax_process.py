"""One of two processes of a JAX program: feeds its shard, and prints each batch as a line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fastfeed as ff


def main(rank: int, address: str, samples: int, **options: object) -> None:
    jax.distributed.initialize(address, num_processes=2, process_id=rank)
    mesh = Mesh(np.array(jax.devices()), ("batch",))
    total = jax.jit(lambda values: values.sum(axis=0), out_shardings=NamedSharding(mesh, PartitionSpec()))
    values = np.stack([np.arange(samples), np.ones(samples)], axis=1).astype(np.float32)
    feed = ff.arrays(values, np.arange(samples), batch_size=4, shard="auto", num_workers=1, **options)
    with feed.to_jax(NamedSharding(mesh, PartitionSpec("batch"))) as loader:
        for both, labels in loader:
            own = [label for shard in labels.addressable_shards for label in shard.data.tolist()]
            print(json.dumps({"shape": both.shape, "total": total(both).tolist(), "own": own}), flush=True)
            del both, labels
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], **json.loads(sys.argv[3]))

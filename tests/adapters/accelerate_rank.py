"""One rank of an Accelerate program: prints each batch of its shard, and what is gathered of all, as a line of JSON."""

from __future__ import annotations

import json
import sys

import numpy as np
from accelerate import Accelerator

import fastfeed as ff


def main(samples: int) -> None:
    accelerator = Accelerator(cpu=True)
    shard = (accelerator.process_index, accelerator.num_processes)
    with ff.arrays(np.arange(samples), batch_size=4, shuffle=True, shard=shard, num_workers=1) as feed:
        for batch in ff.accelerate.prepare(feed, accelerator):
            print(json.dumps([batch.tolist(), accelerator.gather_for_metrics(batch).tolist()]), flush=True)
    accelerator.end_training()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

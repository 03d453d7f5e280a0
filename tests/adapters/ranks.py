"""Programs that run as several ranks, each in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def in_ranks(world: int, name: str, **options: Any) -> list[list[Any]]:
    """Run a program of this folder as a launcher would; what each rank has printed as lines of JSON.

    The program gets the options as JSON.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": str(world), "NODE_RANK": "0"}
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    running = [
        subprocess.Popen(
            [sys.executable, "-P", Path(__file__).with_name(name), json.dumps(options)],
            env=os.environ | common | {"PYTHONPATH": path, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        done = [process.communicate(timeout=200) for process in running]
        failed = [error[-2000:] for process, (_, error) in zip(running, done, strict=True) if process.returncode]
        assert not failed, "\n".join(failed)
        return [[json.loads(line) for line in output.splitlines() if line.startswith("[")] for output, _ in done]
    finally:
        for process in running:
            process.kill()
            process.wait()

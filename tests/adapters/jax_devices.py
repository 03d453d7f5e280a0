"""JAX with four devices on one processor, for shardings; to be imported before anything of JAX is done."""

from __future__ import annotations

import os

import pytest

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
jax = pytest.importorskip("jax", reason="JAX is not installed; `make test-frameworks` installs it")
jax.device_put(0)  # what it opens then stays open, and is nothing that a test has left behind

"""What frameworks must find before they are imported."""

from __future__ import annotations

import os

# JAX takes one processor for four devices, so that shardings can be tested.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

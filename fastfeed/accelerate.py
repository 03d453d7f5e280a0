"""Accelerate: what `fastfeed.adapters.accelerate` has, under the name that users import it by."""

from fastfeed.adapters.accelerate import *  # noqa: F403

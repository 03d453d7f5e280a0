"""Prometheus: what `fastfeed.adapters.prometheus` has, under the name that users import it by."""

from fastfeed.adapters.prometheus import *  # noqa: F403

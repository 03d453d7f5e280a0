"""PyTorch: what `fastfeed.adapters.torch` has, under the name that users import it by."""

from fastfeed.adapters.torch import *  # noqa: F403

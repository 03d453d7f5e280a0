"""PyTorch Lightning: what `fastfeed.adapters.lightning` has, under the name that users import it by."""

from fastfeed.adapters.lightning import *  # noqa: F403

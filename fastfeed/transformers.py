"""Transformers: what `fastfeed.adapters.transformers` has, under the name that users import it by."""

from fastfeed.adapters.transformers import *  # noqa: F403

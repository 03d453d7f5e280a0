"""Keras: what `fastfeed.adapters.keras` has, under the name that users import it by."""

from fastfeed.adapters.keras import *  # noqa: F403

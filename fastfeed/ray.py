"""Ray: what `fastfeed.adapters.ray` has, under the name that users import it by."""

from fastfeed.adapters.ray import *  # noqa: F403

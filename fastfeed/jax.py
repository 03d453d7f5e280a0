"""JAX: what `fastfeed.adapters.jax` has, under the name that users import it by."""

from fastfeed.adapters.jax import *  # noqa: F403

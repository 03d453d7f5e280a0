"""TensorFlow: what `fastfeed.adapters.tensorflow` has, under the name that users import it by."""

from fastfeed.adapters.tensorflow import *  # noqa: F403

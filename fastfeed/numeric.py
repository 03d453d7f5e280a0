"""Numbers of Python's and NumPy's: what counts as one, many of them as an array, and memory for them."""

from __future__ import annotations

import math

from fastfeed import _native

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Sequence, Set
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray


def is_number(kind: type) -> bool:
    """Whether the values of a type are numbers."""
    import numpy as np

    return issubclass(kind, bool | int | float | complex | np.number | np.bool_)


def as_array(numbers: Sequence[Any], kinds: Set[type] | None = None) -> Any:
    """Return numbers, or lists of them with the types in `kinds`, as an array; as a list where it would lose digits.

    Whole numbers that no integer dtype holds together would become floats.  Dates, which NumPy counts among the
    integers, stay in a list too.
    """
    import numpy as np

    column = np.array(numbers)
    whole = all(issubclass(kind, int | np.integer | np.bool_) for kind in kinds or set(map(type, numbers)))
    return column if column.dtype.kind in ("biu" if whole else "biufc") else list(numbers)


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array that is not filled yet and begins at a multiple of 64 bytes, as a batch's slot does.

    TensorFlow and JAX read such memory where it is, and copy any other.
    """
    import numpy as np

    memory = np.empty(dtype.itemsize * math.prod(shape) + 63, np.uint8)
    return np.ndarray(shape, dtype, memory, -_native.address(memory.data) % 64)


def aligned_copy(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that begins at a multiple of 64 bytes."""
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy

"""Numbers of Python's and NumPy's: what counts as one, and many of them as an array where no digit is lost."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Sequence, Set
    from typing import Any


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

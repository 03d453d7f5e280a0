"""Numbers of Python's and NumPy's: what counts as one, and many of them as an array where no digit is lost."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def is_number(kind: type) -> bool:
    """Whether the values of a type are numbers."""
    import numpy as np

    return issubclass(kind, bool | int | float | complex | np.number | np.bool_)


def as_array(numbers: Sequence[Any]) -> Any:
    """Return numbers as an array; as a list where an array would lose digits or be no numbers.

    Whole numbers that no integer dtype holds together would become floats, and dates, which NumPy counts among the
    integers, an array of dates.
    """
    import numpy as np

    column = np.array(numbers)
    whole = all(issubclass(kind, int | np.integer | np.bool_) for kind in set(map(type, numbers)))
    return column if column.dtype.kind in ("biu" if whole else "biufc") else list(numbers)

"""Equal to the dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def same(have: object, expected: NDArray[Any]) -> None:
    assert isinstance(have, np.ndarray)
    assert have.dtype == expected.dtype
    assert have.shape == expected.shape
    np.testing.assert_array_equal(have, expected)

"""Samples drawn by weight: the position of an epoch decides the draw, so no rank, worker or restart changes it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fastfeed import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REMEDY = "pass one weight for each sample, not negative, some of them above zero; or 'balanced'"
_BALANCED = "balanced"
# Epochs whose order is kept: the one that is delivered, and the one that is begun.
_KEPT_ORDERS = 2


class Weights:
    """How often each sample is drawn, for the ``weights=`` of a front door.

    Parameters
    ----------
    values : array-like of shape (samples,), or "balanced"
        A sample's share of the draws is its weight over the sum of all; 0 leaves it out.  "balanced": each class is
        drawn equally often, that is 1 over the number of samples with the same label.
    num_samples : int, optional
        Draws in an epoch; None: as many as there are samples.
    replacement : bool
        False draws no sample twice in an epoch: in each draw, the weights of what is left count (Efraimidis and
        Spirakis, "Weighted random sampling with a reservoir", 2006).

    Raises
    ------
    ConfigError
        Weights that cannot be.
    """

    def __init__(self, values: Any, num_samples: int | None = None, replacement: bool = True) -> None:
        self.values = values if isinstance(values, str) and values == _BALANCED else _checked(values)
        self.num_samples = None if num_samples is None else options.whole("num_samples", num_samples, 1)
        self.replacement = options.flag("replacement", replacement)

    def __repr__(self) -> str:
        values = repr(self.values) if isinstance(self.values, str) else f"{len(self.values)} weights"
        return f"Weights({values}, num_samples={self.num_samples}, replacement={self.replacement})"


def _checked(values: Any) -> NDArray[np.float64]:
    import numpy as np

    try:
        weights = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise options.wrong("weights", values, _REMEDY) from error
    if (
        weights.ndim != 1
        or not len(weights)
        or not np.isfinite(weights).all()
        or weights.min() < 0
        or not weights.any()
    ):
        raise options.wrong("weights", values, _REMEDY)
    return weights


class WeightedOrder:
    """The draws of each epoch.

    Attributes
    ----------
    length : int
        Draws in an epoch.
    """

    def __init__(self, weights: Any, samples: int, seed: int, labels: Any) -> None:
        import numpy as np

        given = weights if isinstance(weights, Weights) else Weights(weights)
        values = _balanced(labels) if isinstance(given.values, str) else given.values
        if len(values) != samples:
            raise options.wrong("weights", f"{len(values)} weights", f"{_REMEDY}: there are {samples} samples")
        self.length = samples if given.num_samples is None else given.num_samples
        drawn = int(np.count_nonzero(values))
        if not given.replacement and self.length > drawn:
            remedy = f"pass num_samples={drawn} or fewer with it: no more can be drawn than have a weight"
            raise options.wrong("replacement", False, remedy)
        self._values = values
        self._seed = seed
        self._replacement = given.replacement
        self._sums = np.cumsum(values)
        self._last = int(np.flatnonzero(values)[-1])
        self._orders: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    def fill(self, epoch: int, position: int, step: int, out: memoryview) -> None:
        """Write the samples at position, position + step, ... of an epoch."""
        import numpy as np

        drawn: NDArray[np.int64] = np.frombuffer(out, np.int64)
        if not self._replacement:
            drawn[:] = self._order(epoch)[position : position + step * len(out) : step]
            return
        at = self._uniform(epoch, position, step * (len(out) - 1) + 1)[::step] * self._sums[-1]
        # Rounding may lead to the sum itself, which lies behind the last sample that has a weight.
        drawn[:] = np.minimum(np.searchsorted(self._sums, at, side="right"), self._last)

    def _uniform(self, epoch: int, position: int, count: int) -> NDArray[np.float64]:
        """Numbers in [0, 1), each decided by (seed, epoch, its position)."""
        import numpy as np

        bits = np.random.Philox(key=np.array([self._seed, epoch], np.uint64))
        bits.advance(position // 4)  # one step of it makes four numbers
        raw = bits.random_raw(position % 4 + count)[position % 4 :]
        return np.asarray(raw >> np.uint64(11), np.float64) * 2.0**-53

    def _order(self, epoch: int) -> NDArray[np.int64]:
        import numpy as np

        if epoch not in self._orders:
            with np.errstate(divide="ignore"):
                keys = np.log1p(-self._uniform(epoch, 0, len(self._values))) / self._values
            keys[self._values == 0] = -np.inf
            self._orders[epoch] = np.argsort(-keys, kind="stable")[: self.length]
            while len(self._orders) > _KEPT_ORDERS:
                self._orders.popitem(last=False)
        return self._orders[epoch]

    def fingerprint(self) -> dict[str, Any]:
        """Return what the draws depend on besides the seed."""
        digest = hashlib.blake2s(self._values.tobytes(), digest_size=8).hexdigest()
        return {"weights": digest, "num_samples": self.length, "replacement": self._replacement}


def _balanced(labels: Any) -> NDArray[np.float64]:
    import numpy as np

    if labels is None:
        raise options.wrong("weights", _BALANCED, "pass labels, or a weight for each sample: there are no classes")
    label = labels.gather(np.arange(len(labels)))
    try:
        _, classes, counts = np.unique(np.asarray(label), return_inverse=True, return_counts=True)
        fits = not isinstance(label, dict) and classes.shape == (len(labels),)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise options.wrong("weights", _BALANCED, "pass a weight for each sample: the labels are not one class each")
    weights = 1.0 / counts[classes]
    weights[list(labels.missing)] = 0.0
    return weights

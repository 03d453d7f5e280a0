"""Seeds for the user's code, and keeping its random numbers apart from those of the process."""

from __future__ import annotations

import hashlib
import struct
import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from typing import Any


def seed_everything(*numbers: int) -> None:
    """Seed `random`, and `numpy.random` where it is loaded, from a tuple of whole numbers."""
    import random

    packed = struct.pack(f"<{len(numbers)}Q", *(number % 2**64 for number in numbers))
    seed = int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if hasattr(numpy_random, "seed"):  # it may be just being loaded
        numpy_random.seed(seed % 2**32)  # type: ignore[union-attr]


def random_state() -> tuple[Any, ...]:
    """State of the generators that `seed_everything` seeds, for comparing.

    A module that is not loaded cannot have been drawn from, and loading it to ask would cost more than a small unit.
    """
    python, state = sys.modules.get("random"), _numpy_state()
    return (
        None if python is None else python.getstate(),
        None if state is None else (state[1].tobytes(), *state[2:]),
    )


def _numpy_state() -> Any:
    # By getattr, because a module that is still being loaded may lack its functions.
    get_state = getattr(sys.modules.get("numpy.random"), "get_state", None)
    return None if get_state is None else get_state()


class RandomAside:
    """Give units that are done in the consumer a random state of their own, apart from that of the process."""

    def __init__(self) -> None:
        self._ours: tuple[Any, Any] | None = None
        self._theirs: tuple[Any, Any] | None = None

    def __enter__(self) -> None:
        self._theirs = _random_states()
        if self._ours is not None:
            _set_random_states(self._ours)

    def __exit__(self, *exception: object) -> None:
        self._ours = _random_states()
        if self._theirs is not None:
            _set_random_states(self._theirs)


def _random_states() -> tuple[Any, Any]:
    import random

    return random.getstate(), _numpy_state()


def _set_random_states(states: tuple[Any, Any]) -> None:
    import random

    random.setstate(states[0])
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return
    if states[1] is not None:
        numpy_random.set_state(states[1])
    elif hasattr(numpy_random, "seed"):  # it may be just being loaded
        numpy_random.seed()

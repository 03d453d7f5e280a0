"""Seeds for the user's code, and keeping its random numbers apart from those of the process."""

from __future__ import annotations

import struct
import sys
from _blake2 import blake2b  # hashlib loads OpenSSL with it, which takes a worker 2 ms

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_GLOBALS = (("random", "_inst"), ("numpy.random.mtrand", "_rand"), ("torch", "default_generator"))
_TORCH_BEGINS = 67_280_421_310_721  # the seed of torch's generators in a fresh process


# ---- the global generators ----


def seed_everything(*numbers: int) -> None:
    """Seed `random`, `numpy.random` and `torch`, as far as they are loaded, from a tuple of whole numbers."""
    random, numpy_random, torch = sys.modules.get("random"), sys.modules.get("numpy.random"), torch_global()
    if random is numpy_random is torch:  # there is none
        return
    seed = int.from_bytes(blake2b(_packed(numbers), digest_size=8).digest(), "little")
    if hasattr(random, "seed"):  # each may be just being loaded
        random.seed(seed)  # type: ignore[union-attr]
    if hasattr(numpy_random, "seed"):
        numpy_random.seed(seed % 2**32)  # type: ignore[union-attr]
    if torch is not None:
        torch.manual_seed(seed)


def seedable() -> tuple[bool, bool, bool]:
    """Say which modules of random numbers are loaded; one that is loaded later was not seeded."""
    return "random" in sys.modules, "numpy.random" in sys.modules, torch_global() is not None


def torch_global() -> Any:
    """Return torch's generator for draws on the processor, or None where torch is not loaded."""
    return getattr(sys.modules.get("torch"), "default_generator", None)


def random_state() -> tuple[Any, ...]:
    """State of the generators that `seed_everything` seeds, for comparing.

    A module that is not loaded cannot have been drawn from, and loading it to ask would cost more than a small unit.
    """
    python, state, torch = sys.modules.get("random"), _numpy_state(), sys.modules.get("torch")
    return (
        None if python is None else python.getstate(),
        None if state is None else (state[1].tobytes(), *state[2:]),
        None if torch is None else _torch_state(),
    )


def _numpy_state() -> Any:
    # By getattr, because a module that is still being loaded may lack its functions.
    get_state = getattr(sys.modules.get("numpy.random"), "get_state", None)
    return None if get_state is None else get_state()


def _torch_state() -> Any:
    torch = torch_global()
    if torch is None:
        return None
    state = torch.get_state()
    try:
        return state.numpy().tobytes()
    except Exception:  # a torch that was built without NumPy, or for another one; the list takes ten times as long
        return state.tolist()


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *(number % 2**64 for number in numbers))


# ---- generators that a callable holds ----


class Held:
    """A random generator that a callable holds.

    Attributes
    ----------
    generator : object
        What is seeded; of a `numpy.random.Generator` its bit generator, which others may share.
    path : str
        How it is reached from the callable.
    base : bytes
        What tells it from other generators: a digest of its state when it was handed over.
    """

    __slots__ = ("base", "generator", "path")

    def __init__(self, generator: Any, path: str) -> None:
        self.generator = generator
        self.path = path
        self.base = blake2b(repr(_plain(self.state())).encode(), digest_size=32).digest()

    def begin(self, key: bytes) -> None:
        """Begin afresh, from its base and a key."""
        self.seed(blake2b(key, key=self.base, digest_size=32).digest())

    def seed(self, digest: bytes) -> None:
        """Begin at a digest of 32 bytes."""
        raise NotImplementedError

    def state(self) -> Any:
        """Return its state."""
        raise NotImplementedError

    def restore(self, state: Any) -> None:
        """Set a state that `state` has returned."""
        raise NotImplementedError


class _PythonHeld(Held):
    def seed(self, digest: bytes) -> None:
        self.generator.seed(int.from_bytes(digest, "little"))

    def state(self) -> Any:
        return self.generator.getstate()

    def restore(self, state: Any) -> None:
        self.generator.setstate(state)


class _NumpyHeld(Held):
    def seed(self, digest: bytes) -> None:
        from numpy.random import PCG64, PCG64DXSM

        bits = self.generator
        kind = type(bits)
        if kind is PCG64 or kind is PCG64DXSM:  # in a quarter of the time
            halves = int.from_bytes(digest[:16], "little"), int.from_bytes(digest[16:], "little") | 1
            state = {"state": halves[0], "inc": halves[1]}
            bits.state = {"bit_generator": kind.__name__, "state": state, "has_uint32": 0, "uinteger": 0}
        else:
            bits.state = kind(int.from_bytes(digest, "little")).state

    def state(self) -> Any:
        return self.generator.state

    def restore(self, state: Any) -> None:
        self.generator.state = state


class _LegacyHeld(Held):
    def seed(self, digest: bytes) -> None:
        try:
            self.generator.seed(int.from_bytes(digest[:4], "little"))
        except TypeError:  # not over MT19937, which alone it seeds
            import numpy.random

            kind = getattr(numpy.random, self.state()["bit_generator"])
            self.restore({**kind(int.from_bytes(digest, "little")).state, "has_gauss": 0, "gauss": 0.0})

    def state(self) -> Any:
        return self.generator.get_state(legacy=False)

    def restore(self, state: Any) -> None:
        self.generator.set_state(state)


class _TorchHeld(Held):
    def seed(self, digest: bytes) -> None:
        self.generator.manual_seed(int.from_bytes(digest[:8], "little"))

    def state(self) -> Any:
        return self.generator.get_state()

    def restore(self, state: Any) -> None:
        self.generator.set_state(state)


def held_kinds() -> dict[type, type[Held]]:
    """Return the classes of generators that are loaded, and what holds theirs."""
    random, numpy, torch = map(sys.modules.get, ("random", "numpy.random", "torch"))
    found: list[tuple[Any, str, type[Held]]] = [
        (random, "Random", _PythonHeld),
        (numpy, "Generator", _NumpyHeld),
        (numpy, "BitGenerator", _NumpyHeld),
        (numpy, "RandomState", _LegacyHeld),
        (torch, "Generator", _TorchHeld),
    ]
    return {getattr(module, name): kind for module, name, kind in found if hasattr(module, name)}


def global_generators() -> dict[int, tuple[str, str]]:
    """Return module and name, by id, of the generators that `seed_everything` seeds, as far as they are loaded."""
    found = {id(getattr(sys.modules.get(module), name, None)): (module, name) for module, name in _GLOBALS}
    found.pop(id(None), None)
    return found


def seed_held(held: Sequence[Held], *numbers: int) -> None:
    """Let generators begin afresh, each from its base and a tuple of whole numbers."""
    key = _packed(numbers) if held else b""
    for each in held:
        each.begin(key)


def _plain(state: Any) -> Any:
    """A state as numbers and texts, of which the same are equal and have the same repr."""
    if isinstance(state, dict):
        return {name: _plain(part) for name, part in state.items()}
    return state.tolist() if hasattr(state, "tolist") else state


# ---- apart from the process ----


class RandomAside:
    """Give work that is done in the consumer random states of its own, apart from those of the process."""

    def __init__(self, held: Sequence[Held] = ()) -> None:
        import random

        self._random = random  # at the interpreter's end nothing can be imported
        self._held = held
        self._ours: tuple[Any, ...] | None = None
        self._theirs: tuple[Any, ...] | None = None

    def __enter__(self) -> None:
        self._theirs = self._states()
        if self._ours is not None:
            self._set(self._ours)

    def __exit__(self, *exception: object) -> None:
        self._ours = self._states()
        if self._theirs is not None:
            self._set(self._theirs)

    def _states(self) -> tuple[Any, ...]:
        torch = torch_global()
        held = [each.state() for each in self._held]
        return self._random.getstate(), _numpy_state(), None if torch is None else torch.get_state(), held

    def _set(self, states: tuple[Any, ...]) -> None:
        self._random.setstate(states[0])
        numpy_random, torch = sys.modules.get("numpy.random"), torch_global()
        if states[1] is not None:
            numpy_random.set_state(states[1])  # type: ignore[union-attr]
        elif hasattr(numpy_random, "seed"):  # loaded since, or just being loaded
            numpy_random.seed()  # type: ignore[union-attr]
        if torch is not None:
            torch.manual_seed(_TORCH_BEGINS) if states[2] is None else torch.set_state(states[2])
        for each, state in zip(self._held, states[3], strict=True):
            each.restore(state)

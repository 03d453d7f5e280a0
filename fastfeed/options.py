"""The checks of what users pass: every option that cannot work is refused in the words ``name=value: remedy``."""

from __future__ import annotations

import math
import operator
import os
import reprlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from fastfeed._native import MAX_SLOTS, MAX_WORKERS
from fastfeed.errors import ConfigError
from fastfeed.machine import available_cpus
from fastfeed.rank import automatic, rank_here

MAX_SIDE = 65_535  # of an image, in pixels; JPEG's own limit
_ON_ERROR = ("raise", "skip", "replace")
_SEEDS = "pass a whole number from 0 to 2**64 - 1"
_MOST = 2**63 - 1  # samples and indices are int64

_T = TypeVar("_T")
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120


def wrong(name: str, value: object, remedy: str, **beside: object) -> ConfigError:
    """Return the error for an option that cannot work.

    Parameters
    ----------
    name : str
        The option; ``"Resize.size"`` is the option `size` of a `Resize` and becomes ``Resize(size=0)``.
    value : object
        What it was.
    remedy : str
        Begins with what to pass.
    **beside : object
        Further options, by name, that do not go with this one.
    """
    owner, _, option = name.rpartition(".")
    options = ", ".join(f"{each}={shown(what)}" for each, what in {option: value, **beside}.items())
    return ConfigError(f"{owner}({options}): {remedy}" if owner else f"{options}: {remedy}")


def shown(value: object) -> str:
    """Return a value as messages show it: on one line, with the middle of what is long left out."""
    try:
        return " ".join(_REPR.repr(value).split())
    except Exception:  # a number of too many digits, or a class of the user's whose repr fails
        return f"<{type(value).__name__}>"


def whole(name: str, value: object, least: int, most: int | None = None, remedy: str | None = None) -> int:
    """Return an option as an int within ``least .. most``; booleans are not numbers.

    Raises
    ------
    ConfigError
        Naming the option, what it was, and the remedy.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        within = f"{least} or more" if most is None else f"from {least} to {most}"
        raise wrong(name, value, remedy or f"pass a whole number, {within}")
    return number


def flag(name: str, value: object) -> bool:
    """Return value where it is True or False; ConfigError otherwise, for "no" would count as yes."""
    if not isinstance(value, bool):
        raise wrong(name, value, "pass True or False")
    return value


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Return value where it is one of the allowed words; ConfigError otherwise."""
    if not isinstance(value, str) or value not in allowed:
        raise wrong(name, value, f"pass one of {', '.join(map(repr, allowed))}")
    return value


def begun(iterable: Iterable[_T], again: bool, what: str) -> Iterator[_T]:
    """Return an iterator over all that an iterable has; ConfigError where it is one itself, and this is not its first.

    Parameters
    ----------
    again : bool
        Whether it was gone through before.
    what : str
        What messages call it, behind "this".
    """
    iterator = iter(iterable)
    if again and iterator is iterable:
        raise ConfigError(
            f"this {what} can be gone through only once, and the first epoch has done so: pass a list, or an object "
            f"whose __iter__ begins afresh"
        )
    return iterator


def several(value: object) -> bool:
    """Whether an option that is one value or several is several; a string is one."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def number(name: str, value: object, least: float, most: float, remedy: str) -> float:
    """Return a finite real number within ``least .. most``; booleans, strings and arrays are none."""
    return _within(name, value, value, least, most, remedy)


def numbers(
    name: str, value: object, counts: Collection[int], least: float, most: float, remedy: str
) -> tuple[float, ...]:
    """Return finite numbers within ``least .. most``, as many as one of counts says."""
    items: tuple[object, ...] = tuple(value) if several(value) else ()  # type: ignore[arg-type]
    if len(items) not in counts:
        raise wrong(name, value, remedy)
    return tuple(_within(name, value, item, least, most, remedy) for item in items)


def number_range(name: str, value: object, least: float, most: float, remedy: str) -> tuple[float, float]:
    """Return (low, high) with ``least <= low <= high <= most``."""
    low, high = numbers(name, value, (2,), least, most, remedy)
    if low > high:
        raise wrong(name, value, remedy)
    return low, high


def range_around_zero(name: str, value: object, most: float, remedy: str) -> tuple[float, float]:
    """Return a range within -most..most; a number v that is not negative is (-v, v)."""
    if several(value):
        return number_range(name, value, -most, most, remedy)
    bound = number(name, value, 0.0, most, remedy)
    return -bound, bound


def probability(name: str, value: object) -> float:
    """Return a probability."""
    return number(name, value, 0.0, 1.0, "pass a probability, from 0 to 1")


def three(name: str, value: object, least: float, most: float, remedy: str) -> tuple[float, ...]:
    """Return a number each for red, green and blue; one number is meant for all."""
    if several(value):
        return numbers(name, value, (3,), least, most, remedy)
    return (number(name, value, least, most, remedy),) * 3


def fill(name: str, value: object) -> tuple[float, ...]:
    """Return (red, green, blue); one number is a grey."""
    return three(name, value, 0.0, 255.0, "pass a number from 0 to 255, or three (red, green, blue)")


def size(name: str, value: object) -> tuple[int, int]:
    """Return (height, width) of an image; a whole number is a square."""
    remedy = f"pass a whole number of pixels from 1 to {MAX_SIDE}, or (height, width)"
    sides = tuple(value) if several(value) else (value, value)  # type: ignore[arg-type]
    if len(sides) != 2:
        raise wrong(name, value, remedy)
    height, width = (_within(name, value, side, 1, MAX_SIDE, remedy) for side in sides)
    if height != int(height) or width != int(width):
        raise wrong(name, value, remedy)
    return int(height), int(width)


def limit(name: str, value: object, most: int) -> int:
    """Return a limit of at least 1; unlike `whole` it takes 1e9, as one writes large limits."""
    remedy = f"pass a whole number from 1 to {most}"
    found = number(name, value, 1, most, remedy)
    if found != int(found):
        raise wrong(name, value, remedy)
    return int(found)


def on_error(value: object) -> str:
    """Return what is to be done about a bad sample or item: "raise", "skip" or "replace"."""
    return one_of("on_error", value, _ON_ERROR)


def mend(what: str, on_error: str) -> str:
    """Return what can be done about a bad sample; to pass another `on_error` only where there is none yet."""
    return f'{what}, or pass on_error="skip" or on_error="replace"' if on_error == "raise" else what


def fixed_seed(value: object) -> int:
    """Return a seed as an int of 64 bits, 0 or more."""
    return whole("seed", value, 0, 2**64 - 1, _SEEDS)


def seed(value: object) -> int:
    """Return a seed as an int of 64 bits, a fresh one for None."""
    if value is None:
        return int.from_bytes(os.urandom(8), "little")
    return whole("seed", value, 0, 2**64 - 1, f"{_SEEDS}, or None for a fresh one")


def initializer(value: object) -> None:
    """Refuse what is neither None nor a function."""
    if value is not None and not callable(value):
        raise wrong("initializer", value, "pass a function without arguments, or None")


def rank_seed(value: object) -> int:
    """Return a seed as an int of 64 bits, a fresh one for None, the launcher's rank for "rank"."""
    if isinstance(value, str) and value == "rank":
        return rank_here()
    if value is None:
        return seed(value)
    return whole("seed", value, 0, 2**64 - 1, f"{_SEEDS}, 'rank' for the launcher's rank, or None for a fresh one")


def shard(value: object) -> tuple[int, int]:
    """Return (rank, world); None is the whole, (0, 1), and "auto" what the launcher says."""
    if value is None:
        return 0, 1
    if isinstance(value, str) and value == "auto":
        return automatic()
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise wrong("shard", value, "pass (rank, world), such as (0, 4) for the first of four, or 'auto'")
    try:
        world = whole("", value[1], 1, _MOST)
    except ConfigError:
        raise wrong("shard", value, "pass (rank, world), world the number of shards, at least 1") from None
    try:
        return whole("", value[0], 0, world - 1), world
    except ConfigError:
        remedy = f"pass (rank, world), rank from 0 to {world - 1}: ranks count from 0"
        raise wrong("shard", value, remedy) from None


def _within(name: str, whole_value: object, value: object, least: float, most: float, remedy: str) -> float:
    """Return one number of an option; the whole option is what messages show."""
    if isinstance(value, bool | str | bytes | complex):
        raise wrong(name, whole_value, remedy)
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise wrong(name, whole_value, remedy) from None
    if not math.isfinite(found) or not least <= found <= most:
        raise wrong(name, whole_value, remedy)
    return found


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """The options that every front door takes: num_workers, ordered, prefetch and timeout, checked.

    Raises
    ------
    ConfigError
        If a value cannot work; the message names the option.
    """

    num_workers: int | None = None
    ordered: bool = True
    prefetch: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.num_workers is not None:
            whole("num_workers", self.num_workers, 0, MAX_WORKERS)
        if self.prefetch is not None:
            whole("prefetch", self.prefetch, 1, MAX_SLOTS)
        flag("ordered", self.ordered)
        seconds = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if self.timeout is not None and (not seconds or not self.timeout > 0):
            raise wrong("timeout", self.timeout, "pass seconds above 0 for one sample, or None for no limit")

    def workers(self) -> int:
        """Return how many workers to start: as many as can run at once, where the user names no number."""
        return available_cpus() if self.num_workers is None else self.num_workers

"""The engine options that every front door takes, and the checks they share."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass

from fastfeed._native import MAX_WORKERS
from fastfeed.errors import ConfigError


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
        raise ConfigError(f"{name}={value!r} does not work: {remedy or f'pass a whole number, {least} or more'}")
    return number


def flag(name: str, value: object) -> bool:
    """Return value where it is True or False; ConfigError otherwise, for "no" would count as yes."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r}: pass True or False")
    return value


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Return value where it is one of the allowed words; ConfigError otherwise."""
    if not isinstance(value, str) or value not in allowed:
        raise ConfigError(f"{name}={value!r}: pass one of {', '.join(map(repr, allowed))}")
    return value


def check_seed(seed: object) -> int:
    """Return a seed as an int of 64 bits, 0 or more; ``ConfigError`` where it is not one."""
    return whole("seed", seed, 0, 2**64 - 1, "pass a whole number from 0 to 2**64 - 1, or None for a fresh one")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """num_workers, ordered, prefetch and timeout, checked.

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
        if self.num_workers is not None and whole("num_workers", self.num_workers, 0) > MAX_WORKERS:
            raise ConfigError(f"num_workers={self.num_workers}: at most {MAX_WORKERS}")
        if self.prefetch is not None:
            whole("prefetch", self.prefetch, 1)
        flag("ordered", self.ordered)
        number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if self.timeout is not None and (not number or not self.timeout > 0):
            raise ConfigError(f"timeout={self.timeout!r}: pass seconds above 0 for one sample, or None for no limit")

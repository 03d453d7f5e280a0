"""Functions and classes by value: what cloudpickle leaves out, and classes that come home."""

from __future__ import annotations

import dataclasses
import enum
import functools
import gc
import pickle
import subprocess
import sys
import types
from pathlib import Path

import cloudpickle
import pytest

import fastfeed
from fastfeed.wire import byvalue, frame


@functools.cache
def importable(number: int) -> int:
    return number + 1


def test_cached_functions_travel_by_name_where_they_have_one_and_else_by_value() -> None:
    assert frame.copied(importable) is importable
    made = frame.copied(functools.lru_cache(maxsize=7)(lambda number: number + 1))
    assert (made(1), made.cache_info().maxsize) == (2, 7)


def test_a_function_may_refer_to_fastfeed_itself() -> None:
    assert frame.copied(lambda: fastfeed)() is fastfeed


class Measured:
    def __init__(self, size: int) -> None:
        self.size = size

    @functools.cached_property
    def doubled(self) -> int:
        """Twice as large."""
        return 2 * self.size


def test_a_class_with_a_cached_property_goes_by_value() -> None:
    class Local(Measured):
        @functools.cached_property
        def halved(self) -> int:
            return self.size // 2

    buffers: list[pickle.PickleBuffer] = []
    made = pickle.loads(byvalue.dumps(Local.__dict__["halved"], buffers, to_consumer=False))
    holder = Measured(4)
    assert (made.__get__(holder, Measured), vars(holder)) == (2, {"size": 4, "halved": 2})
    assert (frame.copied(Local(6)).halved, frame.copied(Local(6)).doubled) == (3, 12)


def test_what_is_of_a_module_made_by_hand_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_by_hand")
    exec(
        "class Own:\n    def one(self): return ONE\ndef add(number): return number + Own().one()\nONE = 1",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    pickled = byvalue.dumps([module.add, module.Own(), module], [], to_consumer=False)
    assert cloudpickle.list_registry_pickle_by_value() == set()
    script = "import pickle, sys; add, own, made = pickle.load(sys.stdin.buffer); print(add(1), own.one(), made.ONE)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=pickled,
        env={"PYTHONPATH": str(Path(fastfeed.__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"2 1 1\n"


ELSEWHERE = """
import pickle, sys
sys.path[:0] = {path!r}
from fastfeed.wire import byvalue
values = pickle.loads(sys.stdin.buffer.read())
for value in values:
    value.touch()
again = pickle.loads(byvalue.dumps(values, [], to_consumer=False))
assert all(type(a) is type(b) for a, b in zip(values, again))
sys.stdout.buffer.write(byvalue.dumps(values, [], to_consumer=True))
"""


def elsewhere(values: object) -> bytes:
    """Send values to another process, touch them there, and return what it sends home."""
    path = [str(Path(fastfeed.__file__).parents[1]), *sys.path]
    sent = byvalue.dumps(values, [], to_consumer=False)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.format(path=path)], input=sent, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_classes_come_home_as_themselves_and_untouched() -> None:
    class Plain:
        touched = 0

        def touch(self) -> None:
            type(self).touched += 1
            self.at = type(self).touched

    class Slots:
        __slots__ = ("__own", "at")

        def touch(self) -> None:
            self.at = self.__own = 5

        def own(self) -> int:
            return self.__own

    @dataclasses.dataclass(frozen=True, slots=True)
    class Frozen:
        at: int

        def touch(self) -> None:
            assert not hasattr(self, "__dict__")

    class Colour(enum.Enum):
        RED = 1

        def touch(self) -> None:
            pass

    touch = Plain.touch
    values = [Plain(), Slots(), Frozen(7), Colour.RED, Plain()]
    back = pickle.loads(elsewhere(values))
    assert list(map(type, back)) == [Plain, Slots, Frozen, Colour, Plain]
    assert (Plain.touched, Plain.touch) == (0, touch)
    assert [back[0].at, back[4].at, back[1].at, back[1].own(), back[2].at] == [1, 2, 5, 5, 7]
    assert back[3] is Colour.RED


def test_a_class_that_is_no_more_cannot_come_home() -> None:
    class Short:
        def touch(self) -> None:
            pass

    sent = elsewhere([Short()])
    del Short
    gc.collect()
    with pytest.raises(LookupError, match="no more"):
        pickle.loads(sent)

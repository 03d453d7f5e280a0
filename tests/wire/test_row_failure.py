"""Failures in the bytes of a row: as much as there is room for, and never a wrong word about whose failure it is."""

from __future__ import annotations

import pytest
from user_functions import OwnError

from fastfeed.wire.row_failure import RowFailure, from_row, to_row


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def there_and_back(failed: RowFailure, room: int) -> RowFailure:
    row = to_row(failed, room)
    assert len(row) <= room
    return from_row(row + b"\x7f" * (room - len(row)))  # pixels may follow


@pytest.mark.parametrize("of_the_worker", [False, True])
@pytest.mark.parametrize("room", [3, 6, 40, 200, 300, 500, 1000, 100_000])
def test_a_row_holds_what_it_has_room_for(room: int, of_the_worker: bool) -> None:
    failed = RowFailure.of("transform möbius raised OwnError: code 7", raised(OwnError(7)), frameless=False)
    failed.of_the_worker = of_the_worker
    failed.text *= 3
    back = there_and_back(failed, room)
    assert back.of_the_worker == of_the_worker
    assert failed.reason.startswith(back.reason)
    assert back.is_cut == (back.reason != failed.reason) == (room < 43)
    assert (back.cause is None) == (room < 200)
    if back.cause is not None:
        assert (type(back.cause), back.cause.code) == (OwnError, 7)
        assert back.text == failed.text if room == 100_000 else failed.text.endswith(back.text.removeprefix("...\n"))
    assert (len(back.text) > 200) == (room >= 500)


def test_an_exception_may_hold_arrays() -> None:
    import numpy as np

    back = there_and_back(RowFailure("why", ValueError(np.arange(5)), "text"), 2000)
    assert back.cause is not None
    np.testing.assert_array_equal(back.cause.args[0], np.arange(5))


def test_a_reason_without_an_exception_and_with_any_character() -> None:
    back = there_and_back(RowFailure("a\0b \udce9"), 100)
    assert (back.reason, back.cause, back.is_cut) == ("a?b ?", None, False)


class Sulky(Exception):
    def __reduce__(self) -> tuple[object, ...]:
        return sulk, ()


def sulk() -> None:
    raise OSError("not here")


def test_what_cannot_be_made_again_leaves_the_reason() -> None:
    back = there_and_back(RowFailure("transform f raised Sulky", Sulky(), "text"), 1000)
    assert back.reason == "transform f raised Sulky"
    assert isinstance(back.cause, OSError)

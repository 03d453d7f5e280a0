"""What becomes of a row that Python fails to finish: who is blamed, for what, and what on_error makes of it."""

from __future__ import annotations

import probe
import pytest
from drive import encode, picture
from user_functions import OwnError, dislikes_dark, forgets, halves, leaves, only_green

import fastfeed as ff

ENCODED = [encode(picture(index)) for index in range(4)]


def first_error(size: object, transform: object, workers: int, encoded: list[bytes] = ENCODED) -> ff.SampleError:
    with ff.images(encoded, size, transforms=[transform], dtype="uint8", num_workers=workers) as feed:
        with pytest.raises(ff.SampleError) as caught:
            next(iter(feed))
        assert feed.errors == [caught.value]
    return caught.value


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_transform_raised_is_the_cause_with_its_traceback_as_a_note(workers: int) -> None:
    error = first_error(32, dislikes_dark, workers)
    code = dislikes_dark.__code__
    place = f"{code.co_filename}, line {code.co_firstlineno + 1}"
    assert error.reason == f"transform dislikes_dark raised OwnError: code 1 ({place})"
    assert str(error).startswith("sample 0 (index 0): transform dislikes_dark raised")
    assert "; mend the function, or pass on_error=" in str(error)
    cause = error.__cause__
    assert isinstance(cause, OwnError)
    assert cause.code == 1
    (note,) = cause.__notes__
    assert "The traceback in the worker:" in note
    assert "in dislikes_dark" in note


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exit_is_a_failure_of_the_transform(workers: int) -> None:
    error = first_error(32, leaves, workers)
    assert error.reason.startswith("transform leaves raised SystemExit: 3 (")
    assert isinstance(error.__cause__, SystemExit)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_wrong_result_is_described_and_has_no_cause(workers: int) -> None:
    error = first_error(32, halves, workers)
    assert error.reason == (
        "transform halves returned uint8 (32, 16, 3); it must return uint8 (32, 32, 3), as it was given"
    )
    assert error.__cause__ is None
    assert "mend the function" in str(error)
    assert "returned None, as a function without a return does; it" in first_error(32, forgets, workers).reason


@pytest.mark.parametrize("transform", [dislikes_dark, halves, leaves])
def test_a_row_without_room_still_says_that_the_transform_is_to_blame(transform: object) -> None:
    error = first_error((1, 2), transform, 1)
    assert error.reason.startswith(
        "a transform failed: trans... (a row of 6 bytes holds no more of it); num_workers=0 shows it all"
    )
    assert error.__cause__ is None
    assert "mend the function" in str(error)
    assert "mend or remove it" not in str(error)


def test_without_workers_a_small_row_costs_no_word() -> None:
    error = first_error((1, 2), dislikes_dark, 0)
    assert error.reason.startswith("transform dislikes_dark raised OwnError: code 1 (")
    assert isinstance(error.__cause__, OwnError)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("size", [(1, 2), 32])
def test_a_file_that_cannot_be_decoded_is_to_blame_itself(size: object, workers: int) -> None:
    error = first_error(size, dislikes_dark, workers, [encode(picture(7), "PNG")[:-40]])
    assert "mend or remove it" in str(error)
    assert "transform" not in error.reason
    assert error.__cause__ is None


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [(1, 2), 32])
def test_skip_and_replace_note_the_cause(size: object, workers: int) -> None:
    encoded = [encode(picture(0).resize((8, 8)).point(lambda _, value=value: value)) for value in (200, 40, 240, 60)]
    options = {"batch_size": 4, "dtype": "uint8", "num_workers": workers, "transforms": [only_green]}
    with ff.images(encoded, size, on_error="skip", **options) as feed:
        (images,) = list(feed)
        errors = feed.errors
    assert images[:, 0, 0, 1].tolist() == [200, 240]
    assert [error.index for error in errors] == [1, 3]
    if workers == 0 or size == 32:
        assert [error.__cause__.code for error in errors] == [40, 60]
    if workers == 0:
        assert [error.__cause__.__traceback__ for error in errors] == [None, None]  # or images would be kept by them
    with ff.images(encoded, size, on_error="replace", **options) as feed:
        (images,) = list(feed)
        assert [str(error) for error in feed.errors] == [str(error) for error in errors]
    assert images[:, 0, 0, 1].tolist() == [200, 0, 240, 0]
    assert not images[1].any()


@pytest.mark.filterwarnings("ignore:no sample of an epoch could be used")
def test_what_the_consumer_copies_of_failed_rows_is_bounded_however_large_they_are() -> None:
    with ff.images([b"not an image"] * 4, 512, labels=None, batch_size=4, on_error="skip", num_workers=1) as feed:
        assert list(feed) == []
        ring = probe.ring(feed)
        slot = ring.slots[0]
        assert len(probe.failed_row(ring, slot, 0)[1]) == 64 << 10 < 512 * 512 * 3 * 4
    assert len(feed.errors) == 4

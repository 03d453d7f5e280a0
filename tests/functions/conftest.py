"""What the tests of prefetch share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from watched import ended


@pytest.fixture
def quiet_and_no_thread_left(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail a test of prefetch that writes to stderr, as an exception in a thread does."""
    yield
    gc.collect()
    ended()
    assert capfd.readouterr().err == ""

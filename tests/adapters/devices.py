"""A device that is reached by a copy, so that the feed is a batch ahead of the loop."""

from __future__ import annotations

from typing import Any

import pytest

from fastfeed import tree
from fastfeed.adapters import torch as adapter


class Late:
    """Copies at once."""

    def start(self, source: Any) -> tuple[Any, Any]:
        return tree.mapped(source, lambda leaf: leaf.clone()), None

    def arrived(self, moved: Any, event: Any) -> Any:
        return moved

    def has_passed(self, event: Any) -> bool:
        return True

    def wait(self, event: Any) -> None:
        pass


def make_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every device be such a one."""
    monkeypatch.setattr(adapter, "mover_to", lambda device: Late())
    monkeypatch.setattr(adapter.TorchFeed, "_locked", lambda self, tensors: tensors)

"""PyTorch Lightning: a callback that logs how long training waits for its batches.

Loops of Lightning take ``feed.to_torch()`` as it is; see docs/lightning.md.
"""

from __future__ import annotations

from typing import Any

from fastfeed.adapters.waits import NAME, Waits

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback
    except ImportError as error:
        raise ImportError(
            "fastfeed.lightning needs PyTorch Lightning, which cannot be imported here: pip install lightning"
        ) from error


class DataWait(Callback):  # type: ignore[misc]
    """Logs ``data_wait_ms`` whenever Lightning logs: the mean wait for a batch since the last time.

    It is 0.0 where nothing was waited for, and not missing.

    Parameters
    ----------
    feed : Feed, or what ``to_torch()`` has returned
        What training is given.
    """

    def __init__(self, feed: Any) -> None:
        self._waits = Waits(feed)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Leave out what was waited for before."""
        self._waits.lately_ms()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log it, every ``log_every_n_steps`` of the trainer."""
        if (batch_idx + 1) % max(1, trainer.log_every_n_steps) == 0:
            pl_module.log(NAME, self._waits.lately_ms())


__all__ = ["DataWait"]

"""PyTorch: a feed's batches as tensors over the same memory, or on a GPU, copied there one batch ahead.

The GPU's copy engine reads a batch straight from the ring, because the ring is page-locked once (cudaHostRegister);
torch's own pinning copies every batch first.  Two things follow.  A slot must stay leased until the copy has read it,
which an event on the copying stream says.  And memory of a tensor that was made on that stream must not be given to
another tensor while the computing stream still reads it, which `record_stream` says.
"""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastfeed import _native, options, tree
from fastfeed.adapters.ahead import Adapter, Ahead, state_of

try:
    import torch
except ImportError as error:
    raise ImportError(
        "fastfeed.torch and to_torch() need PyTorch, which cannot be imported here: pip install torch"
    ) from error

from fastfeed.adapters.dataloader import DataLoader

_CUDA: Any = torch.cuda  # parts of it have no types

if TYPE_CHECKING:
    from fastfeed.engine.feed import Feed


class Sampler:
    """What loops look for to say which epoch comes next: ``loader.sampler.set_epoch(epoch)``."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch; see `Adapter.set_epoch`."""
        self._adapter.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._adapter)


class TorchFeed(Adapter):
    """A feed that yields tensors; made by ``feed.to_torch()``.

    It has what training loops look for: ``iter`` and ``len``, ``sampler.set_epoch``, ``state_dict`` and
    ``load_state_dict``.  It has no ``dataset``: there is nothing to make another loader of.

    Parameters
    ----------
    feed : Feed
        What to feed; stays usable, but not while this is iterated.
    device : str, int, torch.device or None
        Where tensors are to be.  None leaves them in the ring's memory.
    pin_memory : bool
        Without a device: page-lock the ring, so that ``tensor.to(device, non_blocking=True)`` of yours does not wait.
        With a CUDA device that is so in any case.

    Raises
    ------
    ConfigError
        If the device is none, or is not to be had here.
    """

    batch_sampler = None  # what looks for a sampler looks for this, too

    def __init__(self, feed: Feed, device: object = None, pin_memory: bool = False) -> None:
        super().__init__(feed)
        self._device = None if device is None else _device_of(device)
        self._lock: _PageLock | None = None
        self._stop: weakref.finalize[..., Any] | None = None
        self._lock_pages = options.flag("pin_memory", pin_memory) and _has_accelerator()

    @property
    def sampler(self) -> Sampler:
        """What says which epoch comes next."""
        return Sampler(self)

    def __iter__(self) -> Iterator[Any]:
        # A generator: nothing begins before the first step, since loops make iterators that they never step.
        self.reached = None
        mover = None if self._device is None else mover_to(self._device)
        if mover is not None:
            yield from self._moved(mover)
            return
        for batch in self.feed:
            tensors = tensors_of(batch)
            del batch
            if self._lock_pages:
                tensors = self._locked(tensors)
            elif self._device is not None:
                tensors = tree.mapped(tensors, lambda leaf: _to(leaf, self._device), lists=True)
            yield tensors
            del tensors

    def _moved(self, mover: Mover) -> Iterator[Any]:
        """Yield batches on the device; the next one is already on its way while the loop works on one."""
        held: deque[tuple[Any, Any]] = deque()  # an event of the copying stream, and what is read until then
        try:
            for under_way in Ahead(self, self._started(mover, held)):
                yield mover.arrived(*under_way)
                del under_way
        finally:
            for event, _ in held:
                mover.wait(event)

    def _started(self, mover: Mover, held: deque[tuple[Any, Any]]) -> Generator[tuple[Any, Any], None, None]:
        for batch in self.feed:
            source = self._locked(tensors_of(batch))
            del batch
            moved, event = mover.start(source)
            held.append((event, source))
            del source
            while held and mover.has_passed(held[0][0]):
                held.popleft()
            yield moved, event
            del moved

    def _locked(self, tensors: Any) -> Any:
        """The same tensors in page-locked memory: in the ring, or else copies."""
        memory = self.feed.shared_memory()
        lock = self._lock
        if lock is None or not lock.is_of(memory):  # a feed whose function has changed has a new ring
            self._unlock()
            lock = self._lock = _PageLock(memory)
            if lock.holds:
                self._stop = weakref.finalize(self, lock.release)

        def locked(leaf: Any) -> Any:
            if not isinstance(leaf, torch.Tensor) or lock.covers(leaf) or leaf.numel() == 0:
                return leaf
            return leaf.pin_memory()

        return tree.mapped(tensors, locked, lists=True)

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands; {} for a feed that cannot say, since loops save this unasked."""
        return self.reached or state_of(self.feed) or {}

    def load_state_dict(self, state: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Let the next iteration go on where a state was taken; an empty one changes nothing."""
        if state == {} and not state_of(self.feed):
            warnings.warn(
                "nothing was saved of where this feed stood, because it cannot say: it begins with the whole epoch. "
                "fastfeed.images, fastfeed.arrays, and fastfeed.map over a sequence can",
                stacklevel=2,
            )
        super().load_state_dict(state)

    def _unlock(self) -> None:
        if self._stop is not None:
            self._stop()
        self._lock = self._stop = None

    def close(self) -> None:
        """Close the feed.  Tensors that you keep stay valid, but no longer page-locked."""
        self._unlock()
        super().close()


def tensors_of(batch: Any) -> Any:
    """Return the batch with a tensor in place of each array, over the same memory.

    Tuples, lists, dicts and dataclasses stay what they are; so do numbers, text, and arrays of what no tensor holds, as
    in PyTorch's own loader.  A NumPy number becomes a tensor without a dimension.
    """
    return tree.mapped(batch, _tensor_of, lists=True)


def _tensor_of(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray | np.generic) or leaf.dtype.kind not in "biufc":
        return leaf
    array = np.asarray(leaf)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _to(leaf: Any, device: torch.device | None, non_blocking: bool = False) -> Any:
    return leaf.to(device, non_blocking=non_blocking) if isinstance(leaf, torch.Tensor) else leaf


def _has_accelerator() -> bool:
    if torch.cuda.is_available():
        return True
    warnings.warn(
        "pin_memory=True: this PyTorch sees no GPU, so memory is not page-locked", stacklevel=4, category=UserWarning
    )
    return False


def _device_of(device: Any) -> torch.device:
    try:
        asked = torch.device(device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise options.wrong(
            "device", device, "pass what torch.device takes, such as 'cuda', 'cuda:1' or None"
        ) from error
    if asked.type == "cuda":
        if not torch.cuda.is_available():
            raise options.wrong("device", device, "pass None or 'cpu': this PyTorch sees no GPU")
        if (asked.index or 0) >= torch.cuda.device_count():
            raise options.wrong("device", device, f"pass one of the {torch.cuda.device_count()} that PyTorch sees")
        if asked.index is None:  # "cuda" is whichever is current, and that differs from thread to thread
            return torch.device("cuda", torch.cuda.current_device())
    return asked


class Mover(Protocol):
    """What copies a batch to a device in the background."""

    def start(self, source: Any) -> tuple[Any, Any]:
        """Begin to copy: the tensors to be, and the event that says when `source` has been read."""

    def arrived(self, moved: Any, event: Any) -> Any:
        """Let whoever works on the device from now on find the tensors complete."""

    def has_passed(self, event: Any) -> bool:
        """Whether `source` has been read."""

    def wait(self, event: Any) -> None:
        """Wait until it has been."""


class CudaMover:
    """Copies on a stream of its own, beside the one that computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _CUDA.Stream(device)

    def start(self, source: Any) -> tuple[Any, Any]:
        """Begin to copy."""
        with torch.cuda.stream(self._stream):
            moved = tree.mapped(source, lambda leaf: _to(leaf, self._device, non_blocking=True), lists=True)
            event = _CUDA.Event()
            event.record(self._stream)
        return moved, event

    def arrived(self, moved: Any, event: Any) -> Any:
        """Have the current stream wait for the copy, not the processor."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(event)
        for leaf in tree.leaves(moved, lists=True):
            if isinstance(leaf, torch.Tensor):
                leaf.record_stream(current)
        return moved

    def has_passed(self, event: Any) -> bool:
        """Whether the copy is done."""
        return bool(event.query())

    def wait(self, event: Any) -> None:
        """Wait for the copy."""
        event.synchronize()


def mover_to(device: torch.device) -> Mover | None:
    """Return what copies to this device in the background, or None where nothing can."""
    return CudaMover(device) if device.type == "cuda" else None


class _PageLock:
    """A ring's memory, page-locked as long as this lives; nothing where there is no ring, or the driver refuses."""

    def __init__(self, memory: memoryview | None) -> None:
        self.holds = memory is not None
        self._memory, self._end = memory, 0
        self._start = 0 if memory is None else _native.address(memory)
        if memory is None:
            return
        code = int(_CUDA.cudart().cudaHostRegister(self._start, memory.nbytes, 0))
        if code:
            self.holds, self._memory = False, None
            warnings.warn(
                f"the ring was not page-locked (cudaHostRegister: error {code}); batches are copied to page-locked "
                f"memory instead, which is slower",
                stacklevel=2,
                category=UserWarning,
            )
            return
        self._end = self._start + memory.nbytes

    def is_of(self, memory: memoryview | None) -> bool:
        """Whether it was made for this memory."""
        return self._start == (0 if memory is None else _native.address(memory))

    def covers(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor lies in it."""
        return bool(self._start <= tensor.data_ptr() < self._end)

    def release(self) -> None:
        """Unlock the pages."""
        _CUDA.cudart().cudaHostUnregister(self._start)
        self._memory, self._end = None, 0


__all__ = ["DataLoader", "TorchFeed", "tensors_of"]

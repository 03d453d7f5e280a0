"""images: options for image files in, a Feed out."""

from __future__ import annotations

import hashlib
import marshal
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastfeed import _native, options
from fastfeed.engine.boot import WorkerKind
from fastfeed.engine.feed import Feed
from fastfeed.engine.job import Remedies
from fastfeed.errors import ConfigError, SampleError, WorkerError
from fastfeed.image.finish import caller, finisher, held_by_callables
from fastfeed.image.limits import DEFAULT_MAX_PIXELS
from fastfeed.image.plan import DEFAULT_MAX_BYTES, DEFAULT_MAX_SCANS, Compiled, Limits, compile_plan
from fastfeed.image.transforms import Size
from fastfeed.numeric import aligned_copy
from fastfeed.randomness.seeds import RandomAside
from fastfeed.rank import warn_if_unsharded
from fastfeed.schedule.job import ScheduledJob
from fastfeed.schedule.order import order_of
from fastfeed.schedule.plan import Plan
from fastfeed.schedule.schedule import Schedule
from fastfeed.sources.choose import as_source
from fastfeed.sources.source import Source
from fastfeed.wire import callables, frame, interpreter
from fastfeed.wire.failure import with_note
from fastfeed.wire.obstacle import remedied, travels
from fastfeed.wire.row_failure import RowFailure, from_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# So many names tell a source from another one, in a saved state.
_NAMES = 64
_NO_LABEL = "the labels have no entry for it; add one, or label the files with a callable"


def images(
    source: object,
    size: Size | None = None,
    *,
    transforms: Iterable[object] | None = None,
    labels: Mapping[str, Any] | Sequence[Any] | Callable[[str], Any] | str | None = "auto",
    exclude: str | Iterable[str] | None = None,
    classes: Iterable[str] | None = None,
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int | None = 0,
    drop_last: bool = False,
    sampler: Iterable[Any] | None = None,
    weights: Any = None,
    layout: str = "NHWC",
    dtype: object = "float32",
    with_index: bool = False,
    on_error: str = "raise",
    shard: tuple[int, int] | str | None = None,
    uneven: str = "pad",
    exact: bool = False,
    orient: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_scans: int = DEFAULT_MAX_SCANS,
    num_workers: int | None = None,
    ordered: bool = True,
    prefetch: int | None = None,
    timeout: float | None = None,
    initializer: Callable[[], object] | None = None,
) -> Feed:
    """Feed batches of images, decoded and transformed by worker processes.

    Parameters
    ----------
    source : str, Path, sequence of paths, sequence of bytes, or files(...)
        A directory (its class sub-folders give integer labels), a glob, paths, or encoded images.
    size : int or (int, int), optional
        Square, or (height, width): the whole frame is resized to it, antialiased.
    transforms : sequence, optional
        Transforms such as `RandomResizedCrop`, then plain callables (uint8 array of shape (height, width, 3) in, the
        same out; the slow road), then perhaps `Normalize`.  With `size` as well, `Resize(size)` comes first.
    labels : "auto", None, mapping, sequence, callable or dict of sequences
        "auto" takes those of the source.  A mapping goes by file name or path.
    exclude, classes : str or sequence of str, optional
        Of a folder: names or globs that are left out; the class folders to take, in the order of their numbers.  See
        `fastfeed.files`.
    batch_size : int
        Samples in a batch; the last batch of an epoch is shorter unless `drop_last`.
    shuffle : bool
        A fresh order for each epoch.
    seed : int or None
        Decides order and every random transform; None draws one.  Random numbers that callables draw depend on (seed,
        epoch, index): those of `random`, NumPy and torch, and of generator objects that they hold (see `parallel`).
    layout : {"NHWC", "NCHW"}
        Order of a batch's axes.
    dtype : {"float32", "float16", "uint8"}
        float32 and float16 are scaled to [0, 1] unless `Normalize` says otherwise; uint8 is 0..255.
    with_index : bool
        Yield the samples' int64 positions in the source as well, last.
    on_error : {"raise", "skip", "replace"}
        What becomes of a bad sample: an exception, a batch shorter by that row, or a row of zeros.  A sample without
        a label is skipped under "replace" too.  All of them land in `feed.errors`; a batch of nothing but skipped
        samples is left out.  A truncated file is bad in every epoch, whatever the crop; other damage is seen as far
        down as the crop reaches.
    sampler : iterable of int, or of lists of int, optional
        The order, in place of `shuffle`: indices of samples, each as often as it comes, or batches of them of at most
        `batch_size`.  Gone through once an epoch, in this process; it may be endless.  Its ``set_epoch`` is called.
    weights : sequence of float, "balanced" or Weights, optional
        Draw samples at random, each by its weight; "balanced": each class equally often.  See `Weights`.
    shard : (int, int) or "auto", optional
        (rank, world): this process's part of every epoch.  "auto" asks torch.distributed, JAX, or the launcher's
        variables.  A launcher's rank without it is warned of.
    uneven : {"pad", "drop", "keep"}
        Where the samples cannot be dealt evenly to the shards: some are given a first sample of the epoch once more,
        the last few are left out, or some shards have a sample more, and so perhaps a batch, for which others that
        wait for them in each step would wait for ever.
    exact : bool
        Never decode a JPEG at a reduced scale, however much smaller the target is.
    orient : bool
        Turn images upright by their EXIF orientation, or XMP's where there is none.
    max_pixels, max_bytes, max_scans : int
        Larger frames, larger files, and progressive JPEGs of more scans are bad samples.  So is a file that is far more
        work than its size gives reason for: 9 megapixels of colour or 16 of grey in 64 KiB of PNG, say, or a JPEG of
        empty scans.  `max_pixels` (`max_scans` of a JPEG) above its default allows more of that in proportion.
    num_workers : int, optional
        Worker processes; None: as many as the affinity and the cgroup allow, 0: none, the same bytes made here.
    ordered : bool
        False yields a batch as soon as it is complete.
    prefetch : int, optional
        Batches in flight in total; the ring's slots.
    timeout : float, optional
        Seconds that one sample may take before its worker counts as hung.
    initializer : callable, optional
        Called once in each worker before anything else, or once in this process with ``num_workers=0``: for what your
        callables need of their modules, which a worker imports afresh.  The callables are taken as they are at each
        ``iter``; new workers are started where they have changed.

    Returns
    -------
    Feed
        Yields arrays of shape (rows, height, width, 3) or (rows, 3, height, width); tuples with labels and index.
        Arrays are aligned to 64 bytes.

    Raises
    ------
    ConfigError
        An option or a source that cannot work.
    RingMemoryError, SampleError, WorkerDied
        While iterating.
    """
    if isinstance(transforms, Iterator):
        transforms = list(transforms)  # it serves once, and a plan needs it again
    given = dict(locals())
    engine = options.EngineOptions(num_workers=num_workers, ordered=ordered, prefetch=prefetch, timeout=timeout)
    if (refused := _native.simd_refused()) is not None:
        raise ConfigError(
            f"FASTFEED_SIMD={refused}: this processor or build has no such variant; unset it, or use baseline; "
            f"`fastfeed doctor` lists what there is"
        )
    options.on_error(on_error)
    for name, value in (("with_index", with_index), ("exact", exact), ("orient", orient)):
        options.flag(name, value)
    seed = options.seed(seed)
    options.initializer(initializer)
    limits = Limits(max_pixels=max_pixels, max_scans=max_scans, max_bytes=max_bytes)
    compiled = compile_plan(size, transforms, dtype, layout, exact=exact, orient=orient, limits=limits)
    found = as_source(source, labels, exclude, classes)
    warn_if_unsharded(shard)
    order = order_of(sampler, weights, shuffle, len(found), batch_size, seed, found.labels)
    schedule = Schedule(len(found), batch_size, shuffle, seed, drop_last, shard, uneven, order)
    given |= {"seed": seed, "shard": schedule.shard}
    if not isinstance(source, str | os.PathLike) or not isinstance(labels, str | None):
        given |= {"source": found, "labels": "auto", "exclude": None, "classes": None}
    job = _ImageJob(found, compiled, schedule, on_error, with_index, initializer)
    return Feed(job, engine, None if sampler is not None else lambda: Plan(images, (), given))


class _ImageJob(ScheduledJob):
    """Images as the feed's work; `layout` and `stored_as` are for whoever shows them, as `Compiled` has them."""

    remedies = Remedies(
        less_memory="lower prefetch, batch_size or the image size, or use dtype='uint8'",
        faster_source="use faster storage, or more workers to overlap the reads",
        less_work="smaller images, cheaper transforms, fewer bytes",
    )

    def __init__(
        self,
        source: Source,
        compiled: Compiled,
        schedule: Schedule,
        on_error: str,
        with_index: bool,
        initializer: Callable[[], object] | None,
    ) -> None:
        height, width = compiled.out_h, compiled.out_w
        self._row_shape = (height, width, 3) if compiled.layout == "NHWC" else (3, height, width)
        super().__init__(schedule, compiled.row_bytes, on_error)
        self.classes = source.classes
        self.layout = compiled.layout
        self.stored_as = compiled.stored_as
        self._source = source
        self._compiled = compiled
        self._initializer = callables.Initializer(initializer)
        self._runs_users_code = bool(compiled.callables) or initializer is not None
        self.kind = WorkerKind("fastfeed.image.worker", isolated=not self._runs_users_code, addressed=False)
        self._with_index = with_index
        self._dtype: Any = None
        self._labels = source.labels
        self._spec: dict[str, Any] = {
            "plan": compiled.plan,
            "finish_plan": compiled.finish_plan,
            "seed": schedule.seed,
            "max_pixels": compiled.limits.max_pixels,
            "orient": compiled.orient,
            "calling": bool(compiled.callables),
            "call_shape": (height, width, 3),
        }
        self._digest = b""  # of the callables in the last spec
        self._held = held_by_callables(compiled.callables, {})
        self._spec["bases"] = {held.path: held.base for held in self._held}

    def spec(self) -> bytes:
        if not self._runs_users_code:
            return marshal.dumps({**self._spec, "interpreter": interpreter.described_in_short(), "calls": None})
        try:
            frames = self._frames()
        except frame.UnpicklableError as error:
            remedy = remedied(self._obstacle(), error)
            raise ConfigError(f"{self._transforms()} cannot be sent to the workers: {remedy}") from error
        self._digest = callables.digest(frames)
        calls = [frame.filled(*framed) for framed in frames]
        return marshal.dumps({**self._spec, "interpreter": interpreter.described(), "calls": calls})

    def is_outdated(self) -> bool:
        try:
            return self._runs_users_code and callables.digest(self._frames()) != self._digest
        except frame.UnpicklableError as error:
            callables.warn_outdated(self._transforms(), self._obstacle(), error)
            return False

    def _obstacle(self) -> object:
        each_of = (*self._compiled.callables, self._initializer.function)
        return next((each for each in each_of if not travels(each)), None)

    def _frames(self) -> list[tuple[int, list[tuple[int, Any]]]]:
        return [callables.packed(self._initializer.function), callables.packed(self._compiled.callables)]

    def _transforms(self) -> str:
        """What messages call the callables."""
        names = ", ".join(map(callables.name_of, self._compiled.callables))
        return f"transform {names}" if names else "the initializer"

    def table_fd(self) -> int:
        return self._source.table_fd()

    def views(self, memory: Any, rows: int) -> list[NDArray[Any]]:
        import numpy as np

        if self._dtype is None:
            self._dtype = np.dtype(self._compiled.dtype)  # by name it would be looked up for every batch
        return [np.ndarray((rows, *self._row_shape), self._dtype, memory)]

    def row_maker(self) -> Callable[[int, int, list[NDArray[Any]], int], str | RowFailure | None]:
        fd = self.table_fd()
        table = _native.Mapping(fd, os.fstat(fd).st_size, False)
        sample = _native.Sample(self._compiled.plan, self._compiled.finish_plan, table, self._spec["seed"])
        functions = self._compiled.callables
        self._initializer.call_once()
        self._held = held_by_callables(functions, self._spec["bases"])  # again: they are the user's, and may change
        call = caller(functions, self._held, self._spec["call_shape"]) if functions else None
        finish = finisher(self._spec, call)

        def make(epoch: int, index: int, arrays: list[NDArray[Any]], row: int) -> str | RowFailure | None:
            try:
                finish(sample, sample.make(epoch, index, arrays[0][row].reshape(-1).view("uint8").data))
            except _native.KernelError as error:
                if error.code != _native.E_PYTHON:
                    return error.text
                # What is kept in `errors` must not keep images alive.
                return RowFailure.of(error.text, error.__cause__, frameless=self._on_error != "raise")
            return None

        return make

    def batch_maker(self) -> Callable[[int, NDArray[np.int64], Any, list[NDArray[Any]]], dict[int, Any]]:
        make = super().batch_maker()
        if not self._compiled.callables:
            return make
        aside = RandomAside(self._held)

        def apart(*batch: Any) -> dict[int, Any]:
            with aside:
                return make(*batch)

        return apart

    def sample_name(self, index: int) -> str:
        return self._source.name(index)

    def reason(self, code: int, content: bytes) -> str | RowFailure:
        if code == _native.E_PYTHON:
            return from_row(content)
        # A row that is smaller than its reason holds none.
        more = f"(a row of {self._row_bytes} bytes holds no more of it; num_workers=0 says it all)"
        return super().reason(code, content) or f"{_native.code_text(code)} {more}"

    def sample_error(self, index: int, reason: str) -> SampleError:
        remedy = options.mend("mend or remove it", self._on_error)
        return SampleError(self._source.name(index), index, reason, remedy)

    def row_error(self, index: int, reason: str | RowFailure) -> SampleError | WorkerError:
        if isinstance(reason, str):
            return self.sample_error(index, reason)
        name = self._source.name(index)
        words = reason.reason
        remedy = options.mend("mend the function", self._on_error)
        error: SampleError | WorkerError
        if reason.is_cut:
            words += f"... (a row of {self._row_bytes} bytes holds no more of it)"
        if reason.of_the_worker:
            what = f"loading the function in a worker, for {self._transforms()},"
            if not self._compiled.callables:
                what = "the initializer in a worker"
            error = WorkerError(f"{what} raised {words} ({name})")
        elif reason.is_cut:
            error = SampleError(name, index, f"a transform failed: {words}; num_workers=0 shows it all", remedy)
        else:
            error = SampleError(name, index, words, remedy)
        if reason.cause is not None:
            error.__cause__ = with_note(reason.cause, reason.text)
        return error

    def unusable(self, index: int) -> str | None:
        return _NO_LABEL if self._labels is not None and index in self._labels.missing else None

    def has_unusable(self) -> bool:
        return self._labels is not None and bool(self._labels.missing)

    def source_digest(self) -> str:
        """By some of the names, without their folder, which may lie elsewhere next time."""
        count = len(self._source)
        names = (os.path.basename(self._source.name(index)) for index in range(0, count, -(-count // _NAMES)))
        return hashlib.blake2s("\0".join(names).encode(errors="surrogateescape"), digest_size=8).hexdigest()

    def samples_in_words(self) -> str:
        return f"images from {self._source!r}"

    def described(self) -> Iterator[bytes]:
        yield self._compiled.plan + (self._compiled.finish_plan or b"")
        yield b"\0".join(frame.filled(*framed) for framed in self._frames())
        for index in range(len(self._source)):
            yield os.path.basename(self._source.name(index)).encode(errors="surrogateescape")
            yield repr(None if self._labels is None else self._labels[index]).encode()

    def assemble(self, arrays: list[NDArray[Any]], indices: NDArray[np.int64]) -> Any:
        parts: list[Any] = list(arrays)
        if self._labels is not None:
            parts.append(self._labels.gather(indices))
        if self._with_index:
            parts.append(aligned_copy(indices))
        return tuple(parts) if len(parts) > 1 else parts[0]

"""A chain of transforms, checked and compiled to the native plan that every sample follows.

    size, [Resize, flips, jitter, ..., callables, Normalize], dtype, layout  ->  Compiled

Where plain callables follow, the kernel makes uint8 NHWC for them, and a second plan without transforms stores what
they return.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastfeed import _native, options
from fastfeed.image.limits import DEFAULT_MAX_PIXELS
from fastfeed.image.transforms import Normalize, Op, Resize, Size, Transform

DEFAULT_MAX_SCANS = 100  # progressive JPEGs have about 10; each scan costs a pass over the whole image
DEFAULT_MAX_BYTES = 1 << 30

DTYPES, LAYOUTS = _native.DTYPES, _native.LAYOUTS  # the kernel's numbers by name

Callables = tuple[Callable[[Any], Any], ...]
Scaling = tuple[Sequence[float], Sequence[float]]  # what a channel of 0..255 is multiplied by, and what is added

_AS_IT_IS: Scaling = (1.0,) * 3, (0.0,) * 3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused of one file: `max_pixels` of the frame, `max_scans` of a progressive JPEG, `max_bytes` encoded.

    Raises
    ------
    ConfigError
        A limit that cannot work.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    max_scans: int = DEFAULT_MAX_SCANS
    max_bytes: int = DEFAULT_MAX_BYTES

    def __post_init__(self) -> None:
        for name, most in (("max_pixels", 2**53), ("max_scans", 2**31 - 1), ("max_bytes", 2**53)):
            object.__setattr__(self, name, options.limit(name, getattr(self, name), most))


@dataclass(frozen=True)
class Compiled:
    """What a worker needs to turn an image into a row of a batch.

    Attributes
    ----------
    plan : bytes
        The packed ``ff_plan``; where callables follow, it makes uint8 NHWC for them.
    out_h, out_w : int
        Size of every sample, in pixels.
    dtype, layout : str
        Of the stored row.
    callables : tuple of callable
        Python transforms, in order; each takes and returns uint8 of shape (out_h, out_w, 3).
    finish_plan : bytes or None
        The plan that stores what the callables return; None where there are none.
    limits : Limits
        For one file.
    orient : bool
        Images are turned upright first.
    stored_as : (sequence of float, sequence of float)
        See `scaling_of`.
    """

    plan: bytes
    out_h: int
    out_w: int
    dtype: str
    layout: str
    callables: Callables = ()
    finish_plan: bytes | None = None
    limits: Limits = Limits()
    orient: bool = False
    stored_as: Scaling = _AS_IT_IS

    @property
    def row_bytes(self) -> int:
        """Bytes of a stored row."""
        return _native.plan_row_bytes(self.finish_plan or self.plan)


def compile_plan(
    size: Size | None,
    transforms: Iterable[object] | None = None,
    dtype: object = "float32",
    layout: str = "NHWC",
    *,
    exact: bool = False,
    orient: bool = False,
    limits: Limits | None = None,
) -> Compiled:
    """Check the transforms as a chain and pack them for the kernel.

    Parameters
    ----------
    size : int, (int, int) or None
        The same as a :class:`Resize` in front of `transforms`.
    transforms : iterable of Transform and callable, optional
        The chain; callables come after all others but :class:`Normalize`.
    dtype : str, numpy.dtype or NumPy scalar type
        Of the stored row, one of the names in ``DTYPES``.
    layout : {"NHWC", "NCHW"}
        Of the stored row.
    exact : bool
        Never decode a JPEG at a reduced scale.
    orient : bool
        Turn images upright by their EXIF orientation first.
    limits : Limits, optional
        For one file.

    Returns
    -------
    Compiled

    Raises
    ------
    ConfigError
        A chain that cannot work, with what to change.
    """
    stored = options.one_of("dtype", _dtype_name(dtype), DTYPES)
    options.one_of("layout", layout, LAYOUTS)
    limits = limits or Limits()
    natives, callables, normalize = _sorted_out(size, transforms)
    out_h, out_w = _final_size(natives)
    ops = [op for op in (native._op() for native in natives) if op is not None]
    most = _native.MAX_OPS
    if len(ops) > most:
        remedy = f"pass at most {most} but for Normalize and callables, not {len(ops)}"
        raise options.wrong("transforms", natives, remedy)

    def packed(ops: Sequence[Op], dtype: str, layout: str, stored_as: Scaling) -> bytes:
        return pack(ops, (out_h, out_w), dtype, layout, stored_as, exact=exact, orient=orient, limits=limits)

    stored_as = scaling_of(stored, normalize)
    plan, finish_plan = packed(ops, stored, layout, stored_as), None
    if callables:
        plan, finish_plan = packed(ops, "uint8", "NHWC", _AS_IT_IS), packed([], stored, layout, stored_as)
    return Compiled(plan, out_h, out_w, stored, layout, callables, finish_plan, limits, bool(orient), stored_as)


def pack(
    ops: Sequence[Op],
    size: tuple[int, int],
    dtype: str,
    layout: str,
    stored_as: Scaling,
    *,
    exact: bool,
    orient: bool,
    limits: Limits,
) -> bytes:
    """Return an ``ff_plan`` of checked transforms, for rows of this size; `stored_as` is (scale, bias) of 0..255."""
    bounds = limits.max_scans, limits.max_pixels, limits.max_bytes
    kind, order = DTYPES[dtype], LAYOUTS[layout]
    return _native.pack_plan(ops, *size, kind, order, bool(exact), bool(orient), *bounds, *stored_as)


def _dtype_name(dtype: object) -> object:
    """Return the name of a NumPy dtype or scalar type, without importing NumPy; anything else as it is."""
    if isinstance(dtype, type):
        return dtype.__name__
    return getattr(dtype, "name", dtype)


def _sorted_out(
    size: Size | None, transforms: Iterable[object] | None
) -> tuple[list[Transform], Callables, Normalize | None]:
    """Return the chain as (native transforms, callables, Normalize or None), its order checked."""
    if transforms is None:
        transforms = ()
    if not options.several(transforms):
        raise options.wrong("transforms", transforms, "pass a list of them")
    natives: list[Transform] = [] if size is None else [Resize(options.size("size", size))]
    callables: list[Callable[[Any], Any]] = []
    normalize: Normalize | None = None
    for position, transform in enumerate(transforms):
        name = f"transforms[{position}]"
        if normalize is not None:
            if isinstance(transform, Normalize):
                raise options.wrong(name, transform, "pass one Normalize, as the last of the list")
            remedy = f"pass Normalize as the last of the list, behind {_name(transform)}"
            raise options.wrong(f"transforms[{position - 1}]", normalize, remedy)
        if isinstance(transform, Normalize):
            normalize = transform
        elif isinstance(transform, Transform):
            if callables:
                remedy = "pass callables after every transform of fastfeed but Normalize"
                raise options.wrong(name, transform, f"{remedy}; {_name(callables[-1])} comes before this one")
            natives.append(transform)
        else:
            callables.append(_checked_callable(name, transform))
    return natives, tuple(callables), normalize


def _checked_callable(name: str, transform: object) -> Callable[[Any], Any]:
    function = "a function from uint8 HWC array to array"
    if isinstance(transform, type) and issubclass(transform, Transform):
        raise options.wrong(name, transform, f"pass {_name(transform)}(...), for this is the class")
    if type(transform).__module__.partition(".")[0] == "torchvision":
        remedy = f"pass fastfeed's transform of that name, or wrap it in {function}"
        raise options.wrong(name, transform, f"{remedy}; torchvision's transforms take no NumPy arrays")
    if not callable(transform):
        raise options.wrong(name, transform, f"pass a transform of fastfeed, or {function}")
    return transform


def _name(thing: object) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def _final_size(natives: Sequence[Transform]) -> tuple[int, int]:
    """Return the size at the end of the chain; transforms that set none keep what came to them."""
    sizes = [size for size in (native._output_size() for native in natives) if size is not None]
    if not sizes:
        remedy = "pass a size, or Resize, CenterCrop or RandomResizedCrop among transforms"
        raise options.wrong("size", None, f"{remedy}; images of several sizes do not fit into one batch")
    return sizes[-1]


def scaling_of(dtype: str, normalize: Normalize | None) -> Scaling:
    """Return (scale, bias): a level of 0..255 is stored as ``level * scale + bias``, channel by channel."""
    if dtype == "uint8":
        if normalize is not None:
            raise options.wrong(
                "dtype", dtype, "pass 'float32' or 'float16', or leave Normalize out; it makes fractions"
            )
        return _AS_IT_IS
    return (normalize or Normalize(0.0, 1.0))._scale_and_bias()

"""Chains of transforms become plans: sizes, dtypes, layouts, limits and callables."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import oracle
import pytest
from drive import MEAN, STD, photo, run, same

import fastfeed as ff
from fastfeed import _native
from fastfeed.image.plan import Limits, compile_plan

# ---- the chain -------------------------------------------------------------------------------------------------------


def identity(array: Any) -> Any:
    return array


class TorchvisionLike:
    def __call__(self, image: Any) -> Any:
        return image


TorchvisionLike.__module__ = "torchvision.transforms.transforms"


@pytest.mark.parametrize(
    ("size", "chain", "dtype", "words"),
    [
        (None, None, "float32", r"^size=None: pass a size, or Resize, CenterCrop or RandomResizedCrop"),
        (None, [], "float32", r"images of several sizes do not fit"),
        (None, [ff.RandomHorizontalFlip(), identity], "float32", r"images of several sizes do not fit"),
        (0, [], "float32", r"^size=0: pass a whole number"),
        (8, ff.RandomHorizontalFlip(), "float32", r"^transforms=RandomHorizontalFlip.*: pass a list of them"),
        (8, identity, "float32", r"^transforms=<function identity.*: pass a list"),
        (8, "flip", "float32", r"^transforms='flip': pass a list"),
        (
            8,
            [ff.RandomHorizontalFlip],
            "float32",
            r"^transforms\[0\]=<class '.*\.RandomHorizontalFlip'>: pass RandomHorizontalFlip\(\.\.\.\)",
        ),
        (8, [None], "float32", r"^transforms\[0\]=None: pass a transform of fastfeed, or a function"),
        (
            8,
            [TorchvisionLike()],
            "float32",
            r"^transforms\[0\]=<.*TorchvisionLike.*>: pass fastfeed's transform.*torchvision's",
        ),
        (
            8,
            [ff.Normalize(0, 1), ff.RandomVerticalFlip()],
            "float32",
            r"^transforms\[0\]=Normalize\(.*: pass Normalize as the last of the list, behind RandomVerticalFlip",
        ),
        (8, [ff.Normalize(0, 1), ff.Normalize(0, 1)], "float32", r"^transforms\[1\]=Normalize\(.*: pass one Normalize"),
        (
            8,
            [ff.Normalize(0, 1), identity],
            "float32",
            r"^transforms\[0\]=Normalize\(.*: pass Normalize as the last of the list, behind identity",
        ),
        (
            8,
            [identity, ff.RandomVerticalFlip()],
            "float32",
            r"^transforms\[1\]=RandomVerticalFlip\(p=0.5\): pass callables after.*; identity comes before",
        ),
        (8, [ff.Normalize(0, 1)], "uint8", r"^dtype='uint8': pass 'float32' or 'float16', or leave Normalize out"),
        (8, [ff.RandomVerticalFlip()] * 16, "float32", r"^transforms=\[Resize.*\]: pass at most 16 .*, not 17"),
        (8, [], "float64", r"^dtype='float64'.*'uint8', 'float16', 'float32'"),
        (8, [], float, r"^dtype='float'"),
        (8, [], None, r"^dtype=None"),
    ],
)
def test_a_chain_that_cannot_work_says_what_to_change(size: Any, chain: Any, dtype: Any, words: str) -> None:
    with pytest.raises(ff.ConfigError, match=words):
        compile_plan(size, chain, dtype)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "CHW"}, r"layout='CHW'.*'NHWC', 'NCHW'"),
        ({"layout": None}, r"layout=None"),
    ],
)
def test_a_wrong_layout_names_itself(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ff.ConfigError, match=words):
        compile_plan(8, [], **options)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_pixels": 0}, r"max_pixels=0.*whole number from 1"),
        ({"max_pixels": 1.5}, r"max_pixels=1\.5"),
        ({"max_scans": 2**31}, r"max_scans=2147483648"),
        ({"max_bytes": "1G"}, r"max_bytes='1G'"),
    ],
)
def test_a_wrong_limit_names_itself(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(ff.ConfigError, match=words):
        Limits(**limits)


def test_sixteen_native_transforms_fit() -> None:
    assert compile_plan(8, [ff.RandomVerticalFlip()] * 15 + [ff.Normalize(0, 1)]).out_h == 8


def test_size_is_a_resize_in_front() -> None:
    assert compile_plan((6, 9), [ff.RandomVerticalFlip()]) == compile_plan(
        None, [ff.Resize((6, 9)), ff.RandomVerticalFlip()]
    )


@pytest.mark.parametrize(
    ("chain", "size"),
    [
        ([ff.Resize(7)], (7, 7)),
        ([ff.Resize((7, 9)), ff.CenterCrop(5)], (5, 5)),
        ([ff.RandomVerticalFlip(), ff.RandomResizedCrop((3, 4)), ff.RandomAffine(3)], (3, 4)),
    ],
)
def test_the_last_transform_with_a_size_fixes_the_output(chain: list[Any], size: tuple[int, int]) -> None:
    compiled = compile_plan(None, chain)
    assert (compiled.out_h, compiled.out_w) == size


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("float16")])
def test_numpy_dtypes_are_names(dtype: Any) -> None:
    compiled = compile_plan(8, [], dtype)
    assert compiled.dtype == "float16"
    assert _native.plan_row_bytes(compiled.plan) == 8 * 8 * 3 * 2


def test_the_packed_plan_holds_every_field() -> None:
    compiled = compile_plan(
        None,
        [
            ff.RandomAffine((-5, 6), (0.1, 0.2), (0.5, 2), (1, 2, 3, 4), "nearest", (7, 8, 9)),
            ff.Resize((3, 5), "contain", "lanczos", (1, 2, 3)),
            ff.ColorJitter(0.25, (0.5, 4), 2, (-0.5, 0.25)),
            ff.Normalize(0.5, (0.5, 1, 2)),
        ],
        "float16",
        "NCHW",
        exact=True,
        orient=True,
        limits=Limits(max_pixels=10**10, max_scans=7, max_bytes=10**12),
    )
    have = struct.unpack("=8i2q6f" + 16 * "2i104s", compiled.plan)
    head, ops = have[:16], [have[k : k + 3] for k in range(16, len(have), 3)]
    assert head[:10] == (3, 3, 5, 1, 1, 1, 1, 7, 10**10, 10**12)
    assert head[10:] == pytest.approx((1 / 127.5, 1 / 255, 1 / 510, -1, -0.5, -0.25))
    expected = [
        (6, "=i13f", (0, -5, 6, 0.1, 0.2, 0.5, 2, 1, 2, 3, 4, 7, 8, 9)),
        (1, "=4i3f", (3, 5, 2, 4, 1, 2, 3)),
        (7, "=8f", (0.75, 1.25, 0.5, 4, 0, 3, -0.5, 0.25)),
    ]
    for (kind, size, packed), (expected_kind, form, parameters) in zip(ops[:3], expected, strict=True):
        assert (kind, size) == (expected_kind, struct.calcsize(form))
        assert struct.unpack_from(form, packed) == pytest.approx(parameters)
    assert all(op == (0, 0, bytes(104)) for op in ops[3:])


def test_parameters_too_large_for_the_kernel_are_refused() -> None:
    with pytest.raises(ff.ConfigError, match=r"ColorJitter=.*: pass numbers below 1e38"):
        ff.ColorJitter(brightness=1e39)


@pytest.mark.parametrize("size", [0, 6, 7, 8 * 4])
def test_parameters_of_a_wrong_size_are_refused(size: int) -> None:
    one = (1.0,) * 3
    with pytest.raises(ValueError, match=f"{size} bytes are not the parameters"):
        _native.pack_plan([(_native.OPS["center_crop"], bytes(size))], 1, 1, 0, 0, False, False, 1, 1, 1, one, one)


# ---- callables -------------------------------------------------------------------------------------------------------


def test_callables_get_uint8_nhwc_and_a_second_plan_stores_what_they_return() -> None:
    chain = [ff.RandomHorizontalFlip(1.0), identity, np.negative, ff.Normalize(MEAN, STD)]
    compiled = compile_plan((4, 6), chain, "float32", "NCHW")
    assert compiled.callables == (identity, np.negative)
    assert (compiled.dtype, compiled.layout) == ("float32", "NCHW")
    assert compiled.finish_plan is not None
    assert _native.plan_row_bytes(compiled.plan) == 4 * 6 * 3
    assert _native.plan_row_bytes(compiled.finish_plan) == 4 * 6 * 3 * 4

    image = photo(4, 6)
    first = run(compiled.plan, image, (4, 6))
    same(first, image[:, ::-1])
    row = run(compiled.finish_plan, first, (4, 6), "float32", "NCHW")
    same(row, oracle.stored(image[:, ::-1].astype(float), "float32", "NCHW", MEAN, STD), within=1e-6)


def test_without_callables_there_is_one_plan() -> None:
    assert compile_plan(8, [ff.Normalize(0, 1)]).finish_plan is None

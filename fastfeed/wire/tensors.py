"""PyTorch's tensors on the wire: as arrays, whose memory lies beside the pickle and is not copied into it.

A tensor goes as whole numbers of its elements' size, since NumPy lacks some of PyTorch's dtypes, and in the order in
which its memory lies, so that a picture in channels-last order is one at the other end.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's would double the start-up time of a worker
if TYPE_CHECKING:
    from typing import Any

# Dtypes by the bytes of an element, each of which NumPy has as well.
_CARRIERS = {1: "uint8", 2: "int16", 4: "int32", 8: "int64", 16: "complex128"}


def tensor_class() -> Any:
    """Return the class of tensors, None where PyTorch is not loaded."""
    return getattr(sys.modules.get("torch"), "Tensor", None)


def reduced(tensor: Any) -> Any:
    """Return what pickle is to make of a tensor: as `object.__reduce__`."""
    torch = sys.modules["torch"]
    if (
        tensor.layout is not torch.strided
        or tensor.device.type != "cpu"
        or tensor.is_quantized
        or tensor.is_nested
        or tensor.is_conj()
        or tensor.is_neg()
        or tensor.requires_grad
        or tensor.element_size() not in _CARRIERS
        or vars(tensor)
    ):
        return tensor.__reduce_ex__(5)
    order = None
    if not tensor.is_contiguous():
        order = sorted(range(tensor.dim()), key=lambda at: -tensor.stride(at))
        if not tensor.permute(order).is_contiguous():  # it has gaps
            tensor, order = tensor.contiguous(), None
    memory = tensor if order is None else tensor.permute(order)
    carrier = getattr(torch, _CARRIERS[tensor.element_size()])
    return made, (memory.view(carrier).numpy(), tensor.dtype, order)


def empty(shape: tuple[int, ...], dtype: Any, arena: Any) -> Any:
    """Return a tensor in an arena, with whatever is there; None where no array has such elements."""
    import numpy as np

    carrier = _CARRIERS.get(dtype.itemsize)
    return None if carrier is None else made(arena.empty(shape, np.dtype(carrier)), dtype, None)


def made(memory: Any, dtype: Any, order: list[int] | None) -> Any:
    """Return the tensor over the memory of an array."""
    import torch

    tensor = torch.from_numpy(memory).view(dtype)
    return tensor if order is None else tensor.permute([order.index(at) for at in range(len(order))])

"""PyTorch's tensors between processes: as they were, and beside the pickle."""

from __future__ import annotations

from typing import Any

import pytest

import fastfeed as ff
from fastfeed.wire import frame

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-frameworks` installs it")

BESIDE: dict[str, Any] = {
    "plain": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6).reshape(2, 3).T,
    "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "no elements": torch.zeros(0, 3),
    "no dimensions": torch.tensor(3, dtype=torch.bfloat16),
    "bfloat16": torch.rand(3).to(torch.bfloat16),
    "float8": torch.rand(3).to(torch.float8_e4m3fn),
    "unsigned": torch.tensor([1, 65535], dtype=torch.uint16),
    "booleans": torch.tensor([True, False]),
    "complex": torch.rand(3, dtype=torch.complex128),
}
WITH_GAPS: dict[str, Any] = {
    "every second": torch.arange(10)[::2],
    "expanded": torch.ones(3).expand(4, 3),
}
WITHIN: dict[str, Any] = {
    "conjugated": torch.rand(3, dtype=torch.complex64).conj(),
    "with a gradient": torch.rand(2, requires_grad=True),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "sparse": torch.eye(3).to_sparse(),
}


@pytest.mark.parametrize("by_value", [False, True])
@pytest.mark.parametrize("case", [*BESIDE, *WITH_GAPS, *WITHIN])
def test_a_tensor_comes_back_as_it_was(case: str, by_value: bool) -> None:
    tensor = {**BESIDE, **WITH_GAPS, **WITHIN}[case]
    memory = memoryview(frame.filled(*frame.frame({"a": [tensor]}, by_value=by_value)))
    made = frame.read(memory)["a"][0]
    assert type(made) is type(tensor)
    assert (made.dtype, made.shape, made.layout) == (tensor.dtype, tensor.shape, tensor.layout)
    assert made.requires_grad == tensor.requires_grad
    if case in BESIDE:
        assert made.stride() == tensor.stride()
        assert frame.has_buffers(memory)
    wide = torch.complex128
    assert torch.equal(made.detach().to_dense().to(wide), tensor.detach().to_dense().to(wide))


def test_a_tensor_lies_in_the_memory_of_its_frame() -> None:
    memory = frame.filled(*frame.frame(torch.arange(4)))
    made = frame.read(memoryview(memory))
    made[2] = 77
    assert frame.read(memoryview(memory)).tolist() == [0, 1, 77, 3]


def test_tensors_that_a_function_returns_are_written_beside_the_pickle() -> None:
    with ff.map(lambda number: {"x": torch.full((300, 300), number)}, range(6), num_workers=1) as feed:
        for number, made in enumerate(feed):
            assert torch.equal(made["x"], torch.full((300, 300), number))

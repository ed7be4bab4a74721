"""A device is chosen as it was asked for, and float32 means float32 on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from s2m_edge.devices import choose_device, full_float32
from s2m_edge.errors import ConfigurationError
from s2m_edge.network.spectral.kernel import matrix_form
from support import lively_network


@pytest.mark.parametrize(
    ("name", "present", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cuda", True, "cuda"), ("cpu", True, "cpu")],
)
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, name: str, present: bool, expected: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert choose_device(name) == expected


def test_a_gpu_that_is_not_there_is_refused_and_not_replaced(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"no CUDA device here.*--device cpu"):
        choose_device("cuda")


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"no device 'tpu'.*auto, cpu, cuda"):
        choose_device("tpu")


@pytest.fixture
def flags() -> Iterator[Any]:
    """PyTorch's two flags, which stay as they were."""
    matmul: Any = torch.backends.cuda.matmul
    convolution: Any = torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    yield matmul, convolution
    matmul.allow_tf32, convolution.allow_tf32 = before


@pytest.mark.parametrize("before", [(True, True), (False, True), (False, False)])
def test_tf32_is_off_inside_and_as_before_afterwards(flags, before: tuple[bool, bool]):
    for flag, allowed in zip(flags, before, strict=True):
        flag.allow_tf32 = allowed
    inside = []
    with suppress(KeyError), full_float32():
        inside += [flag.allow_tf32 for flag in flags]
        raise KeyError
    assert inside == [False, False]
    assert tuple(flag.allow_tf32 for flag in flags) == before


class OneDevice(TorchDispatchMode):
    """Refuses every operation on tensors of two devices, as a GPU does; numbers may lie anywhere."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim()]
        devices = {tensor.device.type for tensor in tensors}
        assert len(devices) < 2, f"{function} of {devices}"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_computes_on_its_inputs_device(channels: int):
    """On the meta device, which every machine has; it computes nothing, and by itself lets matrices mix."""
    network = lively_network(in_channels=channels).to("meta")
    with torch.inference_mode(), matrix_form(), OneDevice():
        found = network(torch.zeros(1, channels, 96, 96, device="meta"))
    assert (found.device.type, found.shape) == ("meta", (1, 1, 96, 96))


def test_a_network_on_two_devices_is_seen():
    layer = torch.nn.Linear(4, 4).to("meta")
    with torch.inference_mode(), OneDevice(), pytest.raises(AssertionError, match="cpu"):
        layer(torch.zeros(1, 4))

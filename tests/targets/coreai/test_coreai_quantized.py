"""PyTorch's quantize and dequantize operations become Core AI's, and its runtime computes the same integers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from s2m_edge.targets.registry import find_target

if find_target("coreai").version() is None:
    pytest.skip("coreai-torch is not installed", allow_module_level=True)

from s2m_edge.targets.coreai.lowerings import decomposition_table, register_lowerings
from s2m_edge.targets.coreai.quiet import quiet_coreai


class QuantizedConvolution(nn.Module):
    """A convolution between two quantizations, its weights int8 with a scale per output channel."""

    weight: Tensor
    scales: Tensor
    zeros: Tensor

    def __init__(self, highest: int = 127) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randint(-127, 128, (8, 4, 3, 3), dtype=torch.int8, generator=generator))
        self.register_buffer("scales", 0.001 + 0.01 * torch.rand(8, generator=generator))
        self.register_buffer("zeros", torch.zeros(8, dtype=torch.int64))
        self.highest = highest

    def forward(self, x: Tensor) -> Tensor:
        operations = torch.ops.quantized_decomposed
        before, after = (0.031, -5, -128, self.highest, torch.int8), (0.05, 3, -128, self.highest, torch.int8)
        x = operations.dequantize_per_tensor(operations.quantize_per_tensor(x, *before), *before)
        weight = operations.dequantize_per_channel(self.weight, self.scales, self.zeros, 0, -127, 127, torch.int8)
        y = nn.functional.conv2d(x, weight, padding=1)
        return operations.dequantize_per_tensor(operations.quantize_per_tensor(y, *after), *after)


def convert(module: nn.Module, x: Tensor) -> object:
    import torch.ao.quantization.fx._decomposed

    with quiet_coreai(), torch.no_grad():
        from coreai_torch import TorchConverter

        program = torch.export.export(module, (x,)).run_decompositions(decomposition_table())
        converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
        register_lowerings(converter)
        return converter.add_exported_program(program, input_names=["x"], output_names=["y"]).to_coreai()


def test_the_runtime_rounds_and_clamps_as_pytorch_does(tmp_path: Path) -> None:
    import torch.ao.quantization.fx._decomposed

    module = QuantizedConvolution().eval()
    x = 3 * torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    x[0, 0, 0, :6] = torch.tensor([0.5, 1.5, 2.5, -0.5, 5000.0, -5000.0]) * 0.031  # ties, and beyond both ends
    asset = convert(module, x).save_asset(tmp_path / "small.aimodel")  # type: ignore[attr-defined]
    assert str(asset.program).count("coreai.quantize ") == 2

    async def run() -> np.ndarray:
        from coreai.runtime import NDArray

        async with asset.executable() as model:
            answer = await model.load_function("main")({"x": NDArray(x.numpy())})
            return answer["y"].numpy().copy()

    expected = module(x).numpy()
    found = asyncio.run(run())
    # A sum that lies on a tie may round to the other side in another order of summation: by one level, rarely.
    assert np.abs(found - expected).max() <= 0.05 * 1.001
    assert (found == expected).mean() > 0.999
    assert len(np.unique(found)) > 50


def test_another_range_of_integers_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="from -128 to 100"):
        convert(QuantizedConvolution(highest=100), torch.randn(1, 4, 8, 8))

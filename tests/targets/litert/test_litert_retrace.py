"""The converter's last trace is left out where it changes nothing, and the model is the same to the byte."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from s2m_edge.deploy.spec import NetworkSpec, make_spec
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.litert import export as litert_export
from s2m_edge.targets.registry import find_target

pytest.importorskip("litert_torch")

from s2m_edge.targets.litert.retrace import narrow_ranges


class Resizing(nn.Module):
    """Resizes by interpolation, which makes ranges of rows and of columns. B x 3 x 16 x 16 to B x 1 x 16 x 16."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.head = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        small = self.down(image)
        return self.head(nn.functional.interpolate(small, size=(16, 16), mode="bilinear", align_corners=False))


def resizing() -> tuple[nn.Module, NetworkSpec]:
    network = Resizing().eval().requires_grad_(False)
    return network, make_spec("resizing", height=16, width=16, classes=("polyp",)).of(network)


def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by an entry whenever a program is traced anew."""
    seen: list[str] = []
    honest = torch.export.ExportedProgram.run_decompositions

    def counted(self: torch.export.ExportedProgram, *arguments: object, **options: object) -> object:
        seen.append("traced")
        return honest(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.export.ExportedProgram, "run_decompositions", counted)
    return seen


def artifact(made: tuple[nn.Module, NetworkSpec], folder: Path) -> bytes:
    folder.mkdir()
    return find_target("litert").make_exporter().export(LoweringRequest(*made), folder).read_bytes()


def test_a_network_that_resizes_is_traced_once_less_and_its_bytes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = traces(monkeypatch)
    lean = artifact(resizing(), tmp_path / "lean")
    count = len(seen)
    monkeypatch.setattr(litert_export, "last_trace_left_out", contextlib.nullcontext)
    assert artifact(resizing(), tmp_path / "by itself") == lean
    assert len(seen) - count == count + 1


def program_of(module: nn.Module) -> torch.export.ExportedProgram:
    """With what the converter knows of each tensor."""
    from torch.fx.passes.shape_prop import _extract_tensor_metadata

    program = torch.export.export(module, (torch.rand(4),), strict=False).run_decompositions()
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor):
            node.meta["tensor_meta"] = _extract_tensor_metadata(value)
    return program


class Rows(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image * torch.arange(0, 4, 1)


class Counted(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image[torch.arange(0, 4, 1) * 2 % 4]


def test_a_range_of_which_floats_are_computed_becomes_int32():
    program = program_of(Rows())
    image = torch.rand(4)
    before = program.module()(image)
    assert narrow_ranges(program)
    kinds = [node.meta["val"].dtype for node in program.graph.nodes if node.op == "call_function"]
    assert torch.int32 in kinds
    assert torch.equal(program.module()(image), before)


def test_a_range_of_which_whole_numbers_are_computed_is_left_to_the_converter():
    program = program_of(Counted())
    assert any(node.target == torch.ops.aten.arange.start_step for node in program.graph.nodes)
    assert not narrow_ranges(program)
    assert all(node.target != torch.ops.aten._to_copy.default for node in program.graph.nodes)

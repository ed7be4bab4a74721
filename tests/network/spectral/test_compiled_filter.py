"""Under torch.compile the filter stays one op until its products are asked for; the answer and the gradients stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from s2m_edge.network.spectral import compiled, spectral_filter


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiled, "_tracing", compiled._Tracing())
    torch._dynamo.reset()
    compiled.trace_through()
    yield
    torch._dynamo.reset()


def normed(x: Tensor, weight: Tensor) -> Tensor:
    """The filter as the network has it: LayerNorm over channels behind."""
    return layer_norm(spectral_filter(x, weight).permute(0, 2, 3, 1), (x.shape[1],)).square().mean()


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x, weight = torch.randn(2, 3, 24, 21, generator=generator), torch.randn(3, 10, 12, generator=generator)
    return x.requires_grad_(), weight.requires_grad_()


def captured(operators: list[str]):
    """A backend that notes the operators of each graph, forward and backward, and runs them."""
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    def note(graph: torch.fx.GraphModule, example: object) -> object:
        operators.extend(str(node.target) for node in graph.graph.nodes if node.op == "call_function")
        return make_boxed_func(graph.forward)

    return aot_autograd(fw_compiler=note, bw_compiler=note)


def test_without_asking_the_op_stays_opaque(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "_tracing", compiled._Tracing())
    torch._dynamo.reset()
    operators: list[str] = []
    x, weight = pair()
    torch.compile(normed, backend=captured(operators), fullgraph=True)(x, weight).backward()
    assert sum("s2m_edge.spectral_filter.default" in name for name in operators) == 2, "forward, and the gradient of x"


def test_asked_for_forward_and_backward_hold_products_alone(traced: None):
    operators: list[str] = []
    x, weight = pair()
    expected = normed(x, weight)
    gradients = torch.autograd.grad(expected, (x, weight))
    found = torch.compile(normed, backend=captured(operators), fullgraph=True)(x, weight)
    assert torch.allclose(found, expected, rtol=1e-6)
    for ours, theirs in zip(torch.autograd.grad(found, (x, weight)), gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    assert not [name for name in operators if "s2m_edge" in name]
    assert sum("mm" in name for name in operators) >= 8, "four products each way"


def test_exported_graphs_and_eager_calls_keep_the_op(traced: None):
    class Filter(torch.nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return spectral_filter(x, weight)

    for strict in (False, True):
        program = torch.export.export(Filter(), pair(), strict=strict)
        names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
        assert names == ["s2m_edge.spectral_filter.default"]
    assert not compiled.is_traced()

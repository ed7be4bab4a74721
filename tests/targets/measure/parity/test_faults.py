"""Artifacts that are wrong in the usual ways are refused by the gate of every precision, and sound ones are not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from networks import plain_u_net
from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.errors import ParityError
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images
from s2m_edge.targets.base import Exporter
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.measure.parity import GATES, ParityReport, compare
from s2m_edge.targets.registry import find_target

Probabilities = NDArray[np.float32]


def with_other_weights(network: nn.Module) -> nn.Module:
    """The kernels of one convolution in the middle are each the next one's, as a lowering might confuse them."""
    changed = deepcopy(network)
    plain = [module for module in changed.modules() if isinstance(module, nn.Conv2d) and module.groups == 1]
    kernels = [module.weight for module in plain if module.kernel_size != (1, 1)]
    middle = kernels[len(kernels) // 2]
    with torch.no_grad():
        middle.copy_(middle.roll(1, 0))
    return changed


class Altered(nn.Module):
    """A network whose input or logits are altered."""

    def __init__(
        self,
        network: nn.Module,
        image: Callable[[Tensor], Tensor] = lambda image: image,
        logits: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> None:
        super().__init__()
        self.network, self.image, self.logits = network, image, logits

    def forward(self, image: Tensor) -> Tensor:
        return self.logits(self.network(self.image(image)))


def constant(network: nn.Module, probability: float) -> nn.Module:
    """The logit of a probability everywhere; nothing of the input is left but its shape."""
    logit = float(torch.logit(torch.tensor(probability, dtype=torch.float64)).clamp(-40, 40))
    return Altered(network, logits=lambda logits: logits * 0 + logit)


def shifted(network: nn.Module, pixels: int) -> nn.Module:
    """To the right; what leaves comes in again on the left."""
    return Altered(network, logits=lambda logits: torch.cat((logits[..., -pixels:], logits[..., :-pixels]), dim=-1))


FAULTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "other-weights": with_other_weights,
    "all-0": lambda network: constant(network, 0.0),
    "all-0.49": lambda network: constant(network, 0.49),
    "all-1": lambda network: constant(network, 1.0),
    "shifted": lambda network: shifted(network, 4),
    "transposed": lambda network: Altered(network, logits=lambda logits: logits.transpose(2, 3)),
    "channels-swapped": lambda network: Altered(network, image=lambda image: image.flip(1)),
}


@dataclass(frozen=True)
class Case:
    """The bundled polyp network and what it says of two sample pictures."""

    network: nn.Module
    pictures: list[NDArray[np.uint8]]
    expected: list[Probabilities]
    answers: dict[str, list[Probabilities]]

    def of(self, network: nn.Module) -> list[Probabilities]:
        preprocessing = network_spec(read_header("polyp")).preprocessing
        return [probabilities(reference_logits(network, picture, preprocessing)) for picture in self.pictures]

    def report(self, precision: str, answers: list[Probabilities]) -> ParityReport:
        """As `measure_parity` makes it."""
        pairs = zip(self.expected, answers, strict=True)
        images = tuple(compare(f"{index}.jpg", *pair, 0.5, 1.0) for index, pair in enumerate(pairs))
        return ParityReport("onnx", precision, "matmul", "executed", "cpu", "cpu", images, {}, {})


@pytest.fixture(scope="module")
def polyps() -> Case:
    preprocessing = network_spec(read_header("polyp")).preprocessing
    pictures = [fit_to_network(read_image(path), preprocessing) for path in sample_images("polyp")[:2]]
    case = Case(load_model("polyp"), pictures, [], {})
    case.expected.extend(case.of(case.network))
    case.answers.update({name: case.of(fault(case.network)) for name, fault in FAULTS.items()})
    case.answers["none"] = case.of(case.network)
    return case


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("precision", GATES)
def test_a_faulty_network_is_refused_in_every_precision(polyps: Case, precision: str, fault: str):
    report = polyps.report(precision, polyps.answers[fault])
    assert report.images_with_foreground == 2
    with pytest.raises(ParityError, match=f"parity failed for onnx {precision}"):
        report.require_passed()
    assert report.to_dict()["passed"] is False


@pytest.mark.parametrize("precision", GATES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_of_one_image_that_is_not_finite_is_refused(polyps: Case, precision: str, value: float):
    answers = [answer.copy() for answer in polyps.expected]
    answers[1][0, 3, 5] = value
    report = polyps.report(precision, answers)
    with pytest.raises(ParityError, match=r"1\.jpg: largest probability error (nan|inf)"):
        report.require_passed()
    assert report.worst.name == "1.jpg"


@pytest.mark.parametrize("precision", GATES)
def test_a_sound_network_passes_where_a_faulty_one_does_not(polyps: Case, precision: str):
    polyps.report(precision, polyps.answers["none"]).require_passed()


@pytest.mark.parametrize("precision", [name for name, gate in GATES.items() if gate.mask_agreement > 0.997])
def test_one_pixel_is_too_far_where_the_weights_are_nearly_the_networks_own(polyps: Case, precision: str):
    moved = [np.roll(answer, 1, axis=2) for answer in polyps.expected]
    with pytest.raises(ParityError):
        polyps.report(precision, moved).require_passed()


@pytest.mark.parametrize("precision", ["float32", "float16"])  # float16-mixed has the gate of float16
@pytest.mark.parametrize("fault", FAULTS)
def test_an_exporter_that_makes_such_an_artifact_publishes_nothing(precision, fault, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    network, spec = plain_u_net(64, 64)
    honest = Exporter.export

    def faulty(self, request, folder):
        return honest(self, replace(request, network=FAULTS[fault](request.network)), folder)

    monkeypatch.setattr(Exporter, "export", faulty)
    with pytest.raises(ParityError, match="Nothing was published"):
        export_bundle(
            find_target("onnx"),
            network,
            spec,
            precision=precision,
            images=sample_images("polyp")[:2],
            out=tmp_path / "bundle",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.failed"]

"""The bundled checkpoint, at its full size, on twenty real pictures, through every target: what the README promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundled_exports import bundled_export
from s2m_edge.checkpoint import bundled_with_weights, load_model, network_spec, read_header
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.golden import Reference
from s2m_edge.network.model import S2MNet
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.measure.page.exported import ExportPages
from s2m_edge.targets.registry import TARGETS

pytestmark = pytest.mark.slow

CASES = [
    pytest.param(target, precision, target.default_lowering, id=f"{target.name}-{precision}")
    for target in TARGETS
    for precision in target.precisions
    if precision != "int8"  # of the quantized checkpoints, which have tests and gates of their own
] + [
    pytest.param(target, "float32", "custom", id=f"{target.name}-float32-custom")
    for target in TARGETS
    # What runs in place of an artifact that cannot be executed here is the default lowering's, at every size.
    if any(lowering.name == "custom" and not lowering.needs for lowering in target.lowerings)
]


@pytest.fixture(scope="module")
def model() -> S2MNet:
    return load_model()


@pytest.fixture(scope="module")
def reference(model: S2MNet) -> Reference:
    """All cases are compared with one network on the same pictures: it answers each of them once, not once a case."""
    return Reference(model, network_spec(read_header()).preprocessing)


@pytest.fixture(scope="module")
def pages(model: S2MNet) -> ExportPages:
    """Nor are its spectra measured once a case."""
    return ExportPages(model, network_spec(read_header()))


@pytest.mark.parametrize(("target", "precision", "spectral"), CASES)
def test_the_bundled_checkpoint_keeps_its_gate_on_real_pictures(
    target,
    precision,
    spectral,
    model: S2MNet,
    reference: Reference,
    pages: ExportPages,
    polyp_images: list[Path],
    tmp_path: Path,
):
    # The evaluator of saved packages takes seconds per picture: the composite op's package gets four of the twenty.
    evaluated = target.name == "coreml" and spectral != target.default_lowering
    images = target.take_for_gate(polyp_images[:4] if evaluated else polyp_images)
    result = export_bundle(
        target,
        model,
        network_spec(read_header()),
        precision=precision,
        spectral=spectral,
        images=images,
        out=tmp_path / "bundle",
        reference=reference,
        pages=pages,
    )
    assert len(result.parity.images) == len(images)
    assert result.parity.passed
    if precision == "float32":  # twice as strict as the gate: at this size nothing may have been lost on the way
        assert result.parity.worst.max_probability_error <= 5e-5
    # A network that answers "nothing" everywhere would agree with itself too.
    assert sum(image.mask_fraction > 0.005 for image in result.parity.images) >= len(images) / 2
    assert open_bundle(tmp_path / "bundle").contract.preprocessing.title == "352 x 352"


@pytest.mark.parametrize("name", ["vessel", "left-ventricle"])
@pytest.mark.parametrize(
    "target", [target for target in TARGETS if target.name in ("onnx", "openvino")], ids=["openvino", "onnx"]
)
def test_the_other_bundled_checkpoints_keep_it_too(name: str, target, tmp_path_factory: pytest.TempPathFactory):
    header = read_header(name)
    assert sample_images(header.provenance["domain"]), "the network has a sample of its own kind"
    result = bundled_export(tmp_path_factory, name, target)
    assert result.parity.passed
    assert all(image.mask_fraction > 0.005 for image in result.parity.images), "an empty mask agrees with anything"
    contract = open_bundle(result.folder).contract
    assert contract.preprocessing.channels == (1 if name == "left-ventricle" else 3)
    assert bundled_with_weights(contract.weights_sha256) == header.path

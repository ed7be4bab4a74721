"""The LiteRT model: parity with eager, one delegate, channels last, composites, float16, clean errors, any network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from networks import plain_u_net
from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network, normalise
from s2m_edge.imaging.read import read_image
from s2m_edge.network.blocks import SqueezeExcitation
from s2m_edge.network.fake_quantized import activation_quantizers
from s2m_edge.quantize.network import quantize_network
from s2m_edge.samples import sample_images
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.registry import find_target
from support import ENCODER_STAGES, QUANTIZED_CONVOLUTIONS, SPECTRAL_STAGES, Case, lowering_request, make_case, remarks

pytest.importorskip("litert_torch")

from s2m_edge.targets.litert.backend import import_schema, quiet_litert
from s2m_edge.targets.litert.decompositions import decompositions
from s2m_edge.targets.litert.export import LiteRTExporter
from s2m_edge.targets.litert.layout import ChannelsLastInput, prepared_module
from s2m_edge.targets.litert.model_file import ModelFile
from s2m_edge.targets.litert.run import LiteRTRunner
from s2m_edge.targets.litert.spectral import COMPOSITE
from s2m_edge.targets.rewrites import norms_as_arithmetic

SIZE = 96
METADATA = {"name": "S2M-Net é", "notice": 'Research use only: "not" a <device>\n& so on'}


def export(case: Case, folder: Path, spectral: SpectralLowering = "matmul", precision: Precision = "float32") -> Path:
    request = lowering_request(case.model, precision, spectral, case.preprocessing, METADATA)
    return find_target("litert").make_exporter().export(request, folder)


def run(path: Path, preprocessing: Preprocessing) -> LiteRTRunner:
    return LiteRTRunner(path, LiteRTExporter.interface, preprocessing, "float32", threads=1)


@pytest.fixture(scope="module")
def binary() -> Case:
    return make_case(classes=1, channels=3)


@pytest.fixture(scope="module")
def matmul(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("matmul"))


@pytest.fixture(scope="module")
def custom(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("custom"), "custom")


@pytest.fixture(scope="module")
def halved(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("halved"), "matmul", "float16")


def test_both_lowerings_equal_eager(binary: Case, matmul: Path, custom: Path) -> None:
    for path in (matmul, custom):
        found = run(path, binary.preprocessing).predict(binary.fitted)
        assert found.shape == binary.expected.shape
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, binary.expected, rtol=0, atol=1e-5)


def test_three_classes_of_a_grey_picture_exported_without_a_word_or_a_change_to_the_network(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    grey = make_case(classes=3, channels=1)
    before = {name: value.clone() for name, value in grey.model.state_dict().items()}
    found = run(export(grey, tmp_path), grey.preprocessing).predict(grey.fitted)
    assert "".join(capfd.readouterr()) == ""
    assert remarks(recwarn) == []
    after = grey.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert found.shape == (3, SIZE, SIZE)
    np.testing.assert_allclose(found, grey.expected, rtol=0, atol=1e-5)


def test_everything_is_in_one_delegate(binary: Case, matmul: Path) -> None:
    observed = run(matmul, binary.preprocessing).observations()
    assert observed["delegate calls"] == 1
    assert observed["operators not delegated"] == {}


def test_maps_stay_channels_last_but_for_the_four_transposes_of_each_filter(matmul: Path) -> None:
    operators = ModelFile.read(matmul).operators()
    assert operators["TRANSPOSE"] == len(SPECTRAL_STAGES) * 4
    assert operators["FULLY_CONNECTED"] == len(SPECTRAL_STAGES) * 4


def test_elu_is_one_operator(binary: Case, matmul: Path) -> None:
    operators = ModelFile.read(matmul).operators()
    kinds = [type(module) for module in binary.model.modules()]
    assert operators["ELU"] == kinds.count(nn.ELU) + kinds.count(SqueezeExcitation)
    assert not {"EXP", "SELECT", "SELECT_V2", "GREATER"} & set(operators)


def test_custom_keeps_a_composite_of_every_filter_with_its_decomposition(
    binary: Case, matmul: Path, custom: Path
) -> None:
    model = ModelFile.read(custom)
    assert model.composites() == [COMPOSITE] * len(SPECTRAL_STAGES)
    assert model.operators()["FULLY_CONNECTED"] == 0
    assert len(model.model.subgraphs) == 1 + len(SPECTRAL_STAGES)
    assert ModelFile.read(matmul).composites() == []
    left = run(custom, binary.preprocessing).observations()["operators not delegated"]
    assert left == {"STABLEHLO_COMPOSITE": len(SPECTRAL_STAGES)}


def test_float16_halves_the_file_and_keeps_the_answer(binary: Case, matmul: Path, halved: Path) -> None:
    assert 0.49 < halved.stat().st_size / matmul.stat().st_size < 0.55
    runner = run(halved, binary.preprocessing)
    assert 1e-6 < np.abs(runner.predict(binary.fitted) - binary.expected).max() < 2e-2
    assert runner.observations()["delegate calls"] == 1
    assert runner.observations()["operators not delegated"] == {}


def test_int8_convolutions_take_and_give_integers_in_one_delegate(exported) -> None:
    """All but the 7x7 depthwise one of each stage, which XNNPACK has no integer kernel for."""
    bundle = open_bundle(exported(find_target("litert"), "int8", "matmul").folder)
    kinds = ModelFile.read(bundle.artifact).operators_by_type()
    assert kinds["CONV_2D", "INT8"] + kinds["DEPTHWISE_CONV_2D", "INT8"] == QUANTIZED_CONVOLUTIONS - ENCODER_STAGES
    assert kinds["MEAN", "INT8"] == ENCODER_STAGES
    observed = open_runner(bundle).observations()
    assert observed["delegate calls"] == 1
    assert observed["operators not delegated"] == {}


def test_metadata_survives_and_no_path_of_this_machine_is_inside(matmul: Path, halved: Path) -> None:
    for path in (matmul, halved):
        assert ModelFile.read(path).metadata() == METADATA
        content = path.read_bytes()
        for folder in (Path(__file__).parents[3], Path(torch.__file__).parents[1]):
            assert str(folder).encode() not in content


def test_constants_are_aligned(matmul: Path) -> None:
    content = matmul.read_bytes()
    model = import_schema().Model.GetRootAs(content, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 100
    assert {start % 16 for start in starts} == {0}


@pytest.mark.parametrize("kept", [0, 1, 1000, 0.5, -1000, -100000])
def test_a_truncated_file_is_refused(
    binary: Case, matmul: Path, tmp_path: Path, kept: float, capfd: pytest.CaptureFixture[str]
) -> None:
    content = matmul.read_bytes()
    damaged = tmp_path / "s2mnet.tflite"
    damaged.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else int(kept)])
    with pytest.raises(S2MEdgeError, match=r"s2mnet\.tflite .*Export it again"):
        run(damaged, binary.preprocessing)
    assert "".join(capfd.readouterr()) == ""


def test_foreign_and_missing_files_are_refused(binary: Case, tmp_path: Path) -> None:
    with pytest.raises(S2MEdgeError, match="cannot be read"):
        run(tmp_path / "s2mnet.tflite", binary.preprocessing)
    garbage = tmp_path / "garbage.tflite"
    for content in (np.random.default_rng(0).bytes(5000), b"....TFL3" + np.random.default_rng(0).bytes(5000)):
        garbage.write_bytes(content)
        with pytest.raises(S2MEdgeError, match=r"is not a LiteRT model|is damaged"):
            run(garbage, binary.preprocessing)


def test_the_contract_of_another_artifact_and_a_wrong_picture_are_refused(binary: Case, matmul: Path) -> None:
    with pytest.raises(S2MEdgeError, match="its contract says"):
        run(matmul, Preprocessing(SIZE + 32, SIZE, 3))
    runner = run(matmul, binary.preprocessing)
    for wrong in (binary.fitted[:64], binary.fitted[..., :1], binary.fitted.astype(np.float32)):
        with pytest.raises(S2MEdgeError, match="not uint8"):
            runner.predict(wrong)  # type: ignore[arg-type]


# Other networks


class Assorted(nn.Module):
    """What other networks are made of and S2M-Net is not: instance and group normalisation, nearest upsampling by hand,
    activations in place, a padding by nothing, a gain of three axes, a BatchNorm that no Sequential joins to its
    convolution."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.instance = nn.InstanceNorm2d(16, affine=True)
        self.second = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.batch = nn.BatchNorm2d(24)
        self.group = nn.GroupNorm(4, 24)
        self.third = nn.Conv2d(24, 16, 1)
        self.up = nn.ConvTranspose2d(16, 16, 2, stride=2)
        self.last = nn.Conv2d(48, outputs, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(48, 1, 1))
        generator = torch.Generator().manual_seed(0)
        assert self.batch.running_mean is not None
        with torch.no_grad():
            for tensor in (*self.parameters(), self.batch.running_mean):
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = nn.functional.leaky_relu_(self.instance(self.first(x)), 0.1)
        deep = self.third(nn.functional.elu_(self.group(self.batch(self.second(skip)))))
        near = nn.functional.interpolate(deep, scale_factor=2.0, mode="nearest")
        raised = nn.functional.pad(self.up(deep), (0, 0, 0, 0), "replicate")
        return self.last(torch.cat((skip, near, raised), dim=1) * self.gain)


@pytest.mark.parametrize("outputs", [1, 4])
def test_another_network_of_another_shape_is_one_delegate_and_channels_last(outputs: int, tmp_path: Path) -> None:
    network = Assorted(outputs).eval()
    classes = [str(index) for index in range(max(outputs - 1, 1))]
    spec = make_spec("assorted", height=40, width=24, classes=classes, mean=(0.4, 0.5, 0.6), scale=1 / 128)
    path = LiteRTExporter(find_target("litert")).export(LoweringRequest(network, spec), tmp_path)
    runner = run(path, spec.preprocessing)
    fitted = np.random.default_rng(0).integers(0, 256, spec.preprocessing.fitted_shape, dtype=np.uint8)
    with torch.no_grad():
        logits = network(torch.from_numpy(normalise(fitted, spec.preprocessing)))
    expected = probabilities_from_logits(logits)[0].numpy()
    assert expected.std() > 0.05
    np.testing.assert_allclose(runner.predict(fitted), expected, rtol=0, atol=1e-5)
    observed = runner.observations()
    assert observed["delegate calls"] == 1
    assert observed["operators not delegated"] == {}
    assert observed["operators"].get("TRANSPOSE", 0) == (0 if outputs == 1 else 1), "probabilities leave channels first"


def test_the_forms_of_other_operators_equal_the_operators() -> None:
    network, image = Assorted(2).eval(), torch.rand(1, 3, 40, 24)
    last = image.permute(0, 2, 3, 1).contiguous()
    with quiet_litert():
        module = prepared_module(ChannelsLastInput(norms_as_arithmetic(network), "logits"), last)
    with torch.no_grad():
        torch.testing.assert_close(module(image=last)["logits"], network(image), rtol=0, atol=1e-5)


def test_int8_of_another_network_takes_floats_and_keeps_every_scale(tmp_path: Path) -> None:
    """The converter would make the input integers, and cut what a resizing takes off at the range of its result."""
    network, spec = plain_u_net(96, 64)
    images = [fit_to_network(read_image(path), spec.preprocessing) for path in sample_images("polyp")[:4]]
    pictures = [torch.from_numpy(normalise(image, spec.preprocessing)[0]) for image in images]
    quantized = quantize_network(network, spec, pictures)
    path = LiteRTExporter(find_target("litert")).export(LoweringRequest(quantized, spec, "int8"), tmp_path)
    model, runner = ModelFile.read(path), run(path, spec.preprocessing)
    given = [int(operator.outputs[0]) for operator in model.main.operators]
    found = [model.main.tensors[index].quantization.scale[0] for index in given if model.type_name(index) == "INT8"]
    wanted = [float(quantizer.scale) for _, quantizer in activation_quantizers(quantized)]
    assert len(wanted) == 4  # the picture, each skip with all that is joined to it, the last block
    assert all(any(abs(scale / other - 1) < 1e-4 for other in found) for scale in wanted)
    assert runner.observations()["delegate calls"] == 1
    for image, picture in zip(images, pictures, strict=True):
        with torch.no_grad():
            logits = quantized(picture[None])[0].numpy()
        decided = np.abs(logits) > 0.25  # ties are rounded otherwise, and a random network has many close decisions
        assert ((runner.predict(image) >= 0.5) == (logits >= 0))[decided].mean() >= 0.995


def test_an_elu_of_another_alpha_is_left_to_the_converter() -> None:
    with quiet_litert():
        form = decompositions()[torch.ops.aten.elu.default]
    assert form(torch.ones(2), 0.5) is NotImplemented
    assert torch.equal(form(-torch.ones(2)), nn.functional.elu(-torch.ones(2)))

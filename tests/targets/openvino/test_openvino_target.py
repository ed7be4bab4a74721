"""What is particular to the OpenVINO target: preprocessing inside the IR, metadata, precision, damaged files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks import seeded
from s2m_edge.deploy.precision import Precision
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.processor import BFLOAT16_FEATURES, processor_features
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.registry import find_target
from support import Case, lowering_request, make_case, remarks

if find_target("openvino").version() is None:  # importorskip would import it with its telemetry
    pytest.skip("openvino is not installed", allow_module_level=True)

SIZE = 96
METADATA = {"name": "S2M-Net é", "notice": 'Research use only: "not" a <device>\n& so on'}


def export(case: Case, folder: Path, precision: Precision = "float32") -> Path:
    exporter = find_target("openvino").make_exporter()
    return exporter.export(lowering_request(case.model, precision, "matmul", case.preprocessing, METADATA), folder)


def run(path: Path, case: Case, threads: int | None = 2, precision: Precision = "float32") -> OpenVINORunner:
    interface = find_target("openvino").make_exporter().interface
    return OpenVINORunner(path, interface, case.preprocessing, precision, threads)


@pytest.fixture(scope="module")
def binary() -> Case:
    return make_case(classes=1, channels=3)


@pytest.fixture(scope="module")
def exported(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("float32"))


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    """A copy to be damaged; its .xml."""
    for file in exported.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / exported.name


def test_uint8_picture_in_probabilities_out(binary: Case, exported: Path) -> None:
    assert {file.name for file in exported.parent.iterdir()} == {"s2mnet.xml", "s2mnet.bin"}
    runner = run(exported, binary)
    found = runner.predict(binary.fitted)
    assert found.shape == binary.expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, binary.expected, rtol=0, atol=1e-5)
    assert runner.device.endswith("executed in float32")
    observed = runner.observations()
    assert observed["inference_precision"] == "f32"
    assert observed["executable_nodes"] > 100
    assert observed["spectral_filter_nodes"] == 0


def test_the_file_says_what_it_takes_and_gives(exported: Path) -> None:
    model = import_openvino().Core().read_model(exported)
    assert (model.input().any_name, model.output().any_name) == ("image", "probabilities")
    assert model.input().element_type.get_type_name() == "u8"
    assert list(model.input().shape) == [1, SIZE, SIZE, 3]
    assert list(model.output().shape) == [1, 1, SIZE, SIZE]
    assert {key: value.value for key, value in model.rt_info["s2m_edge"].items()} == METADATA
    assert str(Path(__file__).parents[3]) not in exported.read_text(encoding="utf-8")


def test_three_classes_of_a_grey_picture(tmp_path: Path) -> None:
    grey = make_case(classes=3, channels=1)
    found = run(export(grey, tmp_path), grey).predict(grey.fitted)
    assert found.shape == (3, SIZE, SIZE)
    np.testing.assert_allclose(found, grey.expected, rtol=0, atol=1e-5)


def test_float16_halves_the_weights_and_the_console_stays_quiet(
    binary: Case, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    before = {name: value.clone() for name, value in binary.model.state_dict().items()}
    path = export(binary, tmp_path, "float16")
    assert "".join(capfd.readouterr()) == ""
    assert remarks(recwarn) == []
    after = binary.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    ratio = path.with_suffix(".bin").stat().st_size / exported.with_suffix(".bin").stat().st_size
    assert 0.49 < ratio < 0.53
    error = np.abs(run(path, binary).predict(binary.fitted) - binary.expected).max()
    assert 1e-6 < error < 2e-2


def test_bfloat16_is_computed_in_where_it_is_the_precision_and_nowhere_else(binary: Case, exported: Path) -> None:
    """The file is that of float32: what differs is how the plugin is asked to run it."""
    runner = run(exported, binary, precision="bfloat16")
    error = np.abs(runner.predict(binary.fitted) - binary.expected).max()
    if runner.precision_used == "bf16":  # with AVX-512, by emulation where there are no instructions for it
        assert runner.verdict == "executed"
        assert 1e-4 < error < 0.1
        assert not runner.remark
        assert ("emulated" in runner.device) != bool(processor_features() & BFLOAT16_FEATURES)
    else:
        assert (runner.precision_used, runner.verdict) == ("f32", "converted, not executed")
        assert error < 1e-5
    for other in ("float32", "float16"):
        assert run(exported, binary, precision=other).precision_used == "f32"


def test_int8_does_not_read_as_if_it_were_float(binary: Case, exported: Path) -> None:
    """The plugin's one word for a model's precision is that of its floating-point part."""
    device = run(exported, binary, precision="int8").device
    assert device.endswith("executed in int8, and float32 where nothing is quantized")


def test_a_processor_without_bfloat16_does_not_say_that_it_executed_it(
    binary: Case, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the plugin takes the wish for bfloat16, and computes in float32."""
    monkeypatch.setattr(OpenVINORunner, "_describe", lambda *_: ("f32", "CPU (old), executed in float32"))
    runner = run(exported, binary, precision="bfloat16")
    assert runner.verdict == "converted, not executed"
    assert "the figures are those of float32" in runner.remark
    assert run(exported, binary).verdict == "executed"


def test_the_runner_needs_its_files_no_more(binary: Case, copied: Path) -> None:
    runner = run(copied, binary)
    copied.with_suffix(".bin").write_bytes(b"")
    copied.unlink()
    np.testing.assert_allclose(runner.predict(binary.fitted), binary.expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_a_truncated_bin_is_refused(binary: Case, copied: Path, kept: int) -> None:
    weights = copied.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(S2MEdgeError, match=r"s2mnet\.bin has \d+ bytes, and the model's constants need \d+"):
        run(copied, binary)


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_missing_file_is_named(binary: Case, copied: Path, suffix: str) -> None:
    copied.with_suffix(suffix).unlink()
    with pytest.raises(S2MEdgeError, match=rf"s2mnet\{suffix} is missing"):
        run(copied, binary)


@pytest.mark.parametrize("content", [b"", b"\x00\xff garbage", b"<net/>", b"<net><layers>"])
def test_a_garbage_xml_is_refused(binary: Case, copied: Path, content: bytes) -> None:
    copied.write_bytes(content)
    with pytest.raises(S2MEdgeError, match="Export it again"):
        run(copied, binary)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r'type="Convolution"', 'type="Nonsense"', "Nonsense"),
        (r'offset="\d+"', 'offset="99999999"', "constants need"),
        (r'offset="\d+"', 'offset="-8"', "cannot be loaded"),
        (r'names="probabilities"', 'names="something"', "not .*probabilities"),
        (r'element_type="u8"', 'element_type="f32"', "not uint8"),
    ],
)
def test_an_altered_xml_is_refused(binary: Case, copied: Path, pattern: str, replacement: str, message: str) -> None:
    altered, count = re.subn(pattern, replacement, copied.read_text(encoding="utf-8"))
    assert count
    copied.write_text(altered, encoding="utf-8")
    with pytest.raises(S2MEdgeError, match=message):
        run(copied, binary)


def test_another_contract_or_picture_is_refused(binary: Case, exported: Path) -> None:
    larger = replace(binary, preprocessing=replace(binary.preprocessing, height=128, width=128))
    with pytest.raises(S2MEdgeError, match="the contract says"):
        run(exported, larger)
    runner = run(exported, binary, threads=None)
    for wrong in (binary.fitted[:64], binary.fitted[..., :1], binary.fitted.astype(np.float32)):
        with pytest.raises(S2MEdgeError, match="not uint8"):
            runner.predict(wrong)  # type: ignore[arg-type]


def test_openvino_is_imported_and_converts_without_its_telemetry() -> None:
    script = (
        "import sys, torch; from s2m_edge.targets.openvino.backend import import_openvino;"
        "import_openvino().convert_model(torch.nn.ReLU(), example_input=torch.zeros(1));"
        "from openvino.tools.ovc import convert_impl; print(convert_impl.tm.__name__);"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines() == ["openvino.tools.ovc.telemetry_stub", "[]"]


class Woven(nn.Module):
    """The inverse of a Haar transform, as wavelet networks write it: bands are assigned to every second pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1)
        self.bands = nn.Conv2d(2, 8, 2, 2)

    def forward(self, image: Tensor) -> Tensor:
        maps = self.first(image)
        bands = self.bands(maps).split(2, 1)
        whole = torch.zeros_like(maps)
        for number, band in enumerate(bands):
            whole[:, :, number // 2 :: 2, number % 2 :: 2] = band
        return 5 * self.head(whole)


def test_pixels_that_are_assigned_by_twos_stay_where_they_belong(tmp_path: Path) -> None:
    network, spec = seeded(Woven), make_spec("woven", height=16, width=24, classes=("polyp",))
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(normalise(picture, spec.preprocessing))).sigmoid().numpy()[0]
    exporter = find_target("openvino").make_exporter()
    path = exporter.export(LoweringRequest(network, spec, "float32", "matmul", METADATA), tmp_path)
    runner = OpenVINORunner(path, exporter.interface, spec.preprocessing, "float32", 1)
    assert float(expected.max() - expected.min()) > 0.2, "a constant answer proves nothing"
    np.testing.assert_allclose(runner.predict(picture), expected, atol=2e-6)

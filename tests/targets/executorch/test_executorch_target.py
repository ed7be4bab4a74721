"""The ExecuTorch program: parity with eager, everything in one delegate, clean errors for damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("executorch")

from s2m_edge.errors import CapabilityError, ConfigurationError, LoweringError
from s2m_edge.imaging.preprocess import Preprocessing, normalise
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.executorch.export import ExecuTorchExporter, lower_to_xnnpack, metadata_methods
from s2m_edge.targets.executorch.probabilities import DelegableProbabilities
from s2m_edge.targets.executorch.program import check_file, read_contents
from s2m_edge.targets.executorch.run import ExecuTorchRunner
from s2m_edge.targets.registry import find_target
from s2m_edge.targets.rewrites import norms_as_arithmetic
from support import lively_network, lowering_request

SIZE = 96
# What may stay outside the delegate. Nothing does; an entry here is a regression of speed to be explained.
ALLOWED_OPERATORS: frozenset[str] = frozenset()


class Exported:
    """One export, shared by the tests of this module (it takes most of a minute)."""

    def __init__(self, folder: Path, classes: int, channels: int, memory_format: torch.memory_format) -> None:
        self.model = lively_network(SIZE, classes, channels, seed=10 * classes + channels)
        self.model.to(memory_format=memory_format)  # type: ignore[call-overload]
        self.preprocessing = Preprocessing(SIZE, SIZE, channels)
        request = lowering_request(
            self.model, "float32", "matmul", self.preprocessing, {"notice": "Research use only, né", "Model name": "x"}
        )
        self.path = ExecuTorchExporter(find_target("executorch")).export(request, folder)

    def runner(self, path: Path | None = None, preprocessing: Preprocessing | None = None) -> ExecuTorchRunner:
        used = preprocessing or self.preprocessing
        return ExecuTorchRunner(path or self.path, ExecuTorchExporter.interface, used, "float32")


@pytest.fixture(
    scope="module",
    params=[(1, 3, torch.contiguous_format), (3, 1, torch.channels_last)],  # training leaves weights in the second
    ids=["binary-rgb", "classes-grey-channels-last"],
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("executorch"), *request.param)


def test_parity_with_eager(exported: Exported) -> None:
    runner = exported.runner()
    spread = []
    for seed in range(3):
        shape = (SIZE, SIZE, exported.preprocessing.channels)
        fitted = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        found = runner.predict(fitted)
        with torch.no_grad():
            image = torch.from_numpy(normalise(fitted, exported.preprocessing))
            expected = DeployedNetwork(exported.model)(image)[0].numpy()
        assert found.shape == expected.shape
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() <= 1e-5
        spread.append(expected.std())
    assert min(spread) > 0.05, "a flat output would hide errors"


def test_everything_is_delegated(exported: Exported) -> None:
    contents = read_contents(exported.path)
    assert contents.delegates == 1
    assert set(contents.operators) <= ALLOWED_OPERATORS
    observed = exported.runner().observations()
    assert observed["operators not delegated"] == contents.operators
    assert observed["threads"] >= 1


def test_metadata_is_stored_as_constant_methods(exported: Exported) -> None:
    program = exported.runner()._program
    assert program.method_names == {"forward", "get_notice", "get_model_name"}
    notice = program.load_method("get_notice")
    assert notice is not None
    assert notice.execute([]) == ["Research use only, né"]


@pytest.mark.parametrize("length", [0, 3, 8, 20, 200, 0.5, -16], ids=str)
def test_truncated_file_is_a_clean_error(exported: Exported, tmp_path: Path, length: float) -> None:
    whole = exported.path.read_bytes()
    kept = int(length * len(whole)) if isinstance(length, float) else length
    damaged = tmp_path / "damaged.pte"
    damaged.write_bytes(whole[:kept])
    with pytest.raises(LoweringError, match=r"truncated|incomplete"):
        exported.runner(damaged)


def test_garbled_program_is_a_clean_error(exported: Exported, tmp_path: Path) -> None:
    whole = exported.path.read_bytes()
    damaged = tmp_path / "damaged.pte"
    damaged.write_bytes(whole[:64] + np.random.default_rng(0).bytes(2000) + whole[2064:])
    with pytest.raises(LoweringError, match="cannot be loaded"):
        exported.runner(damaged)


def test_contract_of_another_artifact_is_refused(exported: Exported) -> None:
    other = Preprocessing(SIZE + 32, SIZE + 32, exported.preprocessing.channels)
    with pytest.raises(LoweringError, match="its contract says"):
        exported.runner(preprocessing=other)


def test_threads_change_only_before_a_program_is_loaded(exported: Exported) -> None:
    runner = exported.runner()
    other = runner.observations()["threads"] + 1
    with pytest.raises(ConfigurationError, match="already runs a program"):
        ExecuTorchRunner(exported.path, ExecuTorchExporter.interface, exported.preprocessing, "float32", other)


@pytest.mark.parametrize("content", [b"", b"no program at all" * 20, bytes(range(256)) * 4, b"....ET\xff\xffeh00" * 9])
def test_foreign_file_never_reaches_the_runtime(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.pte"
    path.write_bytes(content)
    with pytest.raises(LoweringError, match="not an ExecuTorch program"):
        check_file(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LoweringError, match="cannot be read"):
        check_file(tmp_path / "none.pte")


def test_left_over_operators_are_seen(tmp_path: Path) -> None:
    """The check above can fail: nearest upsampling has no XNNPACK kernel."""

    class Leftover(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.interpolate(x.relu(), scale_factor=2.0, mode="nearest")

    program = torch.export.export(Leftover().eval(), (torch.rand(1, 3, 8, 8),))
    path = tmp_path / "leftover.pte"
    path.write_bytes(lower_to_xnnpack(program).buffer)
    contents = read_contents(path)
    assert contents.delegates == 1
    assert not set(contents.operators) <= ALLOWED_OPERATORS
    assert any("upsample_nearest2d" in name for name in contents.operators)


@pytest.mark.parametrize("classes", [1, 3])
def test_delegable_probabilities_equal_the_deployed_ones(classes: int) -> None:
    logits = torch.randn(2, classes, 5, 7)
    assert torch.allclose(DelegableProbabilities(nn.Identity())(logits), DeployedNetwork(nn.Identity())(logits))


def test_metadata_names() -> None:
    assert metadata_methods({"Licence (SPDX)": "MIT"}) == {"get_licence_spdx": "MIT"}


def test_a_precision_that_it_has_not_is_refused_before_lowering(tmp_path: Path) -> None:
    model = S2MNet(S2MNetConfig.preset("paper", size=SIZE)).eval()
    request = lowering_request(model, "float16", "matmul", Preprocessing(SIZE, SIZE))
    with pytest.raises(CapabilityError):
        ExecuTorchExporter(find_target("executorch")).export(request, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)], ids=["instance", "groups"])
def test_a_norm_over_a_large_map_far_from_zero_loses_no_digit(norm: nn.Module, tmp_path: Path) -> None:
    """XNNPACK's mean of a whole map adds 20,000 values one after the other: 2e-4 off here; poolings 9e-6."""
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(1, 4, 128, 160, generator=generator) + 20
    network = norms_as_arithmetic(nn.Sequential(norm)).eval()
    with torch.no_grad():
        program = lower_to_xnnpack(torch.export.export(network, (image,), strict=False))
        expected = norm.double()(image.double())
    from executorch.runtime import Runtime

    path = tmp_path / "norm.pte"
    path.write_bytes(program.buffer)
    found = Runtime.get().load_program(path).load_method("forward")
    assert found is not None
    assert float((found.execute((image,))[0] - expected).abs().max()) < 5e-5

"""Networks that are not S2M-Net go through the same exporters, contract and gates, on every target."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from networks import (
    Made,
    basic_unet,
    dyn_unet,
    global_filter,
    mobile_unet,
    patch_transformer,
    plain_u_net,
    rare_operators,
    seg_res_net,
    trained,
)
from s2m_edge import export
from s2m_edge.deploy import golden as golden_module
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.golden import read_golden
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import CapabilityError, ConfigurationError, ImageError, LoweringError
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network, normalise
from s2m_edge.imaging.read import read_image
from s2m_edge.quantize.network import quantize_network
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle, export_targets
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.predict import load_bundle
from s2m_edge.targets.registry import TARGETS, Target

SMALL: dict[str, Callable[[], Made]] = {
    "plain-u-net": lambda: plain_u_net(96, 64),
    "basic-unet": lambda: basic_unet(96, 64, (8, 8, 16, 16, 32, 8)),
    "segresnet": lambda: seg_res_net(64, 96, down=(1, 2, 2)),
    "mobile-unet": lambda: mobile_unet(96, 64, depth=3),
    "dyn-unet": lambda: dyn_unet(96, 64),
    "patch-transformer": lambda: patch_transformer(96, 64),
    "global-filter": lambda: global_filter(96, 64),
    "rare-operators": lambda: rare_operators(96, 64),
}
FULL: dict[str, Callable[[], Made]] = {
    "plain-u-net": lambda: plain_u_net(348, 252),
    "basic-unet": basic_unet,
    "segresnet": seg_res_net,
    "mobile-unet": mobile_unet,
}
FLOATS = [
    (target, precision) for target in TARGETS for precision in ("float32", "float16") if precision in target.precisions
]


@cache
def small(name: str) -> Made:
    return SMALL[name]()


def pictures(domain: str) -> list[Path]:
    return sample_images(domain)[:2]


IN_FLOAT32_ALONE = ("dyn-unet", "basic-unet", "patch-transformer", "global-filter", "rare-operators")
"""Others bring their layers to half precision."""
CASES = [
    pytest.param(target, precision, name, id=f"{target.name}-{precision}-{name}")
    for target, precision in FLOATS
    for name in SMALL
    if precision == "float32" or name not in IN_FLOAT32_ALONE
]


@pytest.mark.parametrize(("target", "precision", "name"), CASES)
def test_a_small_network_passes_its_gate_on_every_target(target: Target, precision: str, name: str, tmp_path: Path):
    network, spec = small(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = pictures(spec.provenance["domain"])
    result = export_bundle(target, network, spec, precision=precision, images=images, out=tmp_path / "bundle")  # type: ignore[arg-type]
    assert result.parity.passed
    assert all(0.02 < image.mask_fraction < 0.999 for image in result.parity.images), "a constant mask proves nothing"
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items()), "it was changed"
    bundle = open_bundle(tmp_path / "bundle")
    contract = bundle.contract
    assert contract.preprocessing == spec.preprocessing
    assert contract.spectral == "none"
    assert contract.values["output"]["shape"] == [1, *spec.output_shape]
    assert [entry.name for entry in contract.classes] == [entry.name for entry in spec.classes]
    golden, _ = read_golden(bundle.folder / "golden.safetensors")
    found = open_runner(bundle, threads=1).predict(golden[0].image)
    assert found.shape == spec.output_shape
    assert contract.values["network"]["parameters"] > 0
    assert contract.values["network"]["multiply_adds"] > 0


def test_targets_that_are_exported_to_together_share_the_networks_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    network, spec = small("plain-u-net")
    asked: list[bytes] = []
    answer = golden_module.reference_logits

    def counting(model: nn.Module, fitted_picture: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
        asked.append(fitted_picture.tobytes())
        return answer(model, fitted_picture, preprocessing)

    monkeypatch.setattr(golden_module, "reference_logits", counting)
    targets = [target for target in TARGETS if target.name in ("onnx", "openvino")]
    images = pictures("polyp")
    results, failures = export_targets(targets, network, spec, images=images, out=tmp_path / "out")
    assert failures == []
    assert [len(result.parity.images) for result in results] == [len(images)] * 2
    assert len(asked) == len(set(asked)), "no picture is answered twice"


QUANTIZED = [target for target in TARGETS if "int8" in target.precisions]


TRAINED: dict[str, Callable[[], Made]] = {
    "plain-u-net": lambda: trained(plain_u_net(96, 64)),
    "mobile-unet": lambda: trained(mobile_unet(96, 64, depth=3), steps=40, rate=2e-3, own_labels=True),
}


@cache
def small_quantized(name: str) -> Made:
    network, spec = TRAINED[name]()
    return quantize_network(network, spec, fitted(sample_images("polyp"), spec)), spec


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("target", QUANTIZED, ids=lambda target: target.name)
def test_a_network_of_supported_layers_is_quantized_after_training(target: Target, name: str, tmp_path: Path):
    quantized, spec = small_quantized(name)
    images = pictures("polyp")
    result = export_bundle(target, quantized, spec, precision="int8", images=images, out=tmp_path / "bundle")
    assert result.parity.passed
    assert all(0.02 < image.mask_fraction < 0.999 for image in result.parity.images)


def fitted(images: list[Path], spec) -> list[torch.Tensor]:
    given = spec.preprocessing
    return [torch.from_numpy(normalise(fit_to_network(read_image(path), given), given)[0]) for path in images]


def test_quantizing_loses_little_and_says_what_it_cannot():
    network, spec = small("mobile-unet")
    images = fitted(sample_images("polyp"), spec)
    quantized = quantize_network(network, spec, images)
    with torch.no_grad():
        pairs = [(network(image[None]).sigmoid() >= 0.5, quantized(image[None]).sigmoid() >= 0.5) for image in images]
    assert np.mean([float((one == other).float().mean()) for one, other in pairs]) > 0.97
    with pytest.raises(CapabilityError, match="is quantized already"):
        quantize_network(quantized, spec, images)
    for name, layer in (("basic-unet", "instance_norm"), ("segresnet", "group_norm")):
        refused, its_spec = small(name)
        with pytest.raises(CapabilityError, match=rf"calls aten\.{layer}\.default in .*has no int8 form"):
            quantize_network(refused, its_spec, [])


def test_the_library_takes_a_folder_of_pictures_and_gives_the_bundle(tmp_path: Path):
    network, spec = small("plain-u-net")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in pictures("polyp"):
        os.link(path, folder / path.name)
    bundle = export(network, spec, target="onnx", images=folder, out=tmp_path / "out")
    assert bundle.folder == tmp_path / "out" / "plain-u-net-onnx-float32"
    loaded = load_bundle(bundle.folder)
    found = loaded.predict(pictures("polyp")[0])
    assert np.array_equal(loaded.predict(found.image).labels, found.labels), "a file or its pixels"
    assert found.labels.shape == found.image.shape[:2]
    assert found.areas == {"polyp": int(found.labels.sum())}
    with pytest.raises(ImageError, match="RGB, height x width x 3, uint8"):
        loaded.predict(found.image[..., :2])


def test_a_refused_export_leaves_the_folders_alone_that_were_there(tmp_path: Path):
    network, _ = small("plain-u-net")
    wrong = make_spec("plain-u-net", height=30, width=30)
    for out, left in ((tmp_path / "new" / "exports", []), (tmp_path / "old", [tmp_path / "old"])):
        if left:
            out.mkdir()
        with pytest.raises(ConfigurationError):
            export(network, wrong, target="onnx", images=pictures("polyp"), out=out)
        assert list(tmp_path.iterdir()) == left


def test_a_lowering_of_a_filter_that_is_not_there_is_refused(tmp_path: Path):
    network, spec = small("plain-u-net")
    with pytest.raises(CapabilityError, match="no spectral filter"):
        export_bundle(
            next(target for target in TARGETS if target.name == "onnx"),
            network,
            spec,
            spectral="matmul",
            images=pictures("polyp"),
            out=tmp_path / "bundle",
        )
    assert list(tmp_path.iterdir()) == []


class Bessel(nn.Module):
    """A convolution and a function that no runtime has."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.convolution(image) + torch.special.bessel_j0(image[:, :1])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_an_operator_that_a_target_cannot_lower_is_named_and_nothing_stays(target: Target, tmp_path: Path):
    spec = make_spec("bessel", height=32, width=32)
    with pytest.raises(LoweringError, match=r"cannot lower the operator (special_)?bessel_j0 .*--target all") as caught:
        export_bundle(target, Bessel().eval(), spec, images=pictures("polyp"), out=tmp_path / "made" / "bundle")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize(
    "target", [target for target in TARGETS if target.name == "openvino"], ids=lambda target: target.name
)
def test_at_full_size_it_passes_too(target: Target, name: str, tmp_path: Path):
    network, spec = FULL[name]()
    images = pictures(spec.provenance["domain"])
    result = export_bundle(target, network, spec, images=images, out=tmp_path / "bundle")
    assert result.parity.passed
    assert all(0.02 < image.mask_fraction < 0.999 for image in result.parity.images)

"""Masks that the page saves, against the PyTorch reference: the browser's decoding, geometry and network together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from s2m_edge.apps.prepare import find_or_export_bundle
from s2m_edge.apps.web.site import PACKED, make_site
from s2m_edge.checkpoint import load_model
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.imaging.masks import read_mask
from s2m_edge.imaging.preprocess import segment
from s2m_edge.imaging.read import read_image
from s2m_edge.network.model import S2MNet
from s2m_edge.samples import sample_images
from s2m_edge.targets.measure.parity.compare import dice_between
from s2m_edge.targets.measure.parity.gates import GATES

pytestmark = pytest.mark.slow


def save_masks(
    run_node, chromium: str, bundles: list[Bundle], pictures: list[Path], out: Path, run_on: str = "auto"
) -> None:
    run_node(
        "test/e2e/masks.js",
        timeout=600,
        S2M_EDGE_RUN_ON=run_on,
        S2M_EDGE_CHROMIUM=chromium,
        S2M_EDGE_BUNDLES=json.dumps([str(bundle.folder) for bundle in bundles]),
        S2M_EDGE_PICTURES=json.dumps([str(path) for path in pictures]),
        S2M_EDGE_OUT=str(out),
    )


def assert_parity(bundle: Bundle, model: nn.Module, picture: Path, out: Path) -> None:
    """The page's mask and figures of one picture keep the gate of the bundle's precision, in the picture's own size."""
    contract = bundle.contract
    image = read_image(picture)
    height, width = image.shape[:2]
    given = contract.preprocessing

    def predict(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        return probabilities(reference_logits(model, fitted, given))

    expected = segment(predict, image, given, contract.threshold)
    saved = read_mask(out / bundle.folder.name / f"{picture.stem}-mask.png")
    found = np.where(saved == 255, 1, 0).astype(np.uint8) if contract.values["output"]["shape"][1] == 1 else saved
    assert found.shape == expected.shape
    gate = GATES[contract.precision]
    agreement = float((found == expected).mean())
    dice = dice_between(expected, found)
    print(f"{contract.precision} {picture.name} {width}x{height}: agreement {agreement:.6f}, Dice {dice:.6f}")
    assert agreement >= gate.mask_agreement
    assert gate.mask_dice is None or dice >= gate.mask_dice
    figures = json.loads((out / bundle.folder.name / f"{picture.stem}.json").read_text(encoding="utf-8"))
    areas = [int((found == label).sum()) for label in range(1, len(contract.classes) + 1)]
    assert list(figures["area_pixels"].values()) == areas
    assert (figures["width"], figures["height"]) == (width, height)
    assert figures["self_test"]["passed"] is True


def first_visit_bytes(dist: Path, bundle: Bundle) -> int:
    """What a browser without a graphics adapter fetches for one bundle: page, samples, runtime and bundle."""
    site = make_site(dist, [bundle])
    packed = {path.removesuffix(PACKED) for path in site.paths() if path.endswith(PACKED)}
    fetched = [
        path for path in site.paths() if path not in packed and ".asyncify." not in path and "webgpu" not in path
    ]
    return sum(len(site.content(path) or b"") for path in fetched)


def test_masks_of_the_bundled_network_equal_the_reference_on_every_sample(
    run_node, dist: Path, chromium: str, tmp_path: Path
):
    bundles = [
        find_or_export_bundle("onnx", "polyp", precision, folder=tmp_path / "exports")
        for precision in ("float32", "float16")
    ]
    assert first_visit_bytes(dist, bundles[1]) < 25e6
    pictures = sample_images("polyp")
    save_masks(run_node, chromium, bundles, pictures, tmp_path)
    model = load_model("polyp")
    for bundle in bundles:
        for picture in pictures:
            assert_parity(bundle, model, picture, tmp_path)


def test_masks_of_several_classes_in_other_shapes_equal_the_reference(
    run_node, dist: Path, chromium: str, small_bundles: dict[str, Path], tmp_path: Path
):
    """A grey three-class network on colour and grey pictures that are no squares of its size."""
    bundle = open_bundle(small_bundles["classes"])
    pictures = [*sample_images("skin"), *sample_images("vessel"), *sample_images("cardiac")]
    save_masks(run_node, chromium, [bundle], pictures, tmp_path)
    model = load_model(small_bundles["classes"].parent / "classes.safetensors")
    for picture in pictures:
        assert_parity(bundle, model, picture, tmp_path)


def test_masks_of_a_network_that_slides_equal_the_reference(
    run_node, dist: Path, chromium: str, small_bundles: dict[str, Path], small_checkpoint: Path, tmp_path: Path
):
    """Pictures larger than its window at their own resolution, and one that is not as high."""
    bundle = open_bundle(small_bundles["sliding"])
    pictures = [*sample_images("polyp")[:1], *sample_images("cardiac"), _low_picture(tmp_path / "low.png")]
    save_masks(run_node, chromium, [bundle], pictures, tmp_path)
    model = load_model(small_checkpoint)
    for picture in pictures:
        assert_parity(bundle, model, picture, tmp_path)


def _low_picture(path: Path) -> Path:
    """A strip of a sample, 60 high and 300 wide."""
    from PIL import Image

    Image.fromarray(read_image(sample_images("polyp")[0])[100:160, :300]).save(path)
    return path


def test_masks_of_rectangular_networks_that_are_not_s2m_net_equal_the_reference(
    run_node, dist: Path, chromium: str, foreign: Any, foreign_classes: Any, export_foreign: Any, tmp_path: Path
):
    """Mean and deviation of ImageNet; one class of colour pictures, and two of grey ones."""
    networks = [foreign, foreign_classes]
    bundles = [export_foreign(network, "onnx") for network in networks]
    pictures = [*sample_images("polyp")[:1], *sample_images("skin"), *sample_images("cardiac")]
    save_masks(run_node, chromium, bundles, pictures, tmp_path)
    for network, bundle in zip(networks, bundles, strict=True):
        assert bundle.contract.preprocessing == network.spec.preprocessing
        for picture in pictures:
            assert_parity(bundle, network.network, picture, tmp_path)


def test_masks_of_webgpu_keep_their_gates_and_float16_is_computed_in(
    run_node, dist: Path, half_chromium: str, narrow_network: S2MNet, narrow_bundles: dict[str, Path], tmp_path: Path
):
    """On an adapter that computes on the processor and has float16, which the page takes where WebGPU is asked for by
    name; it compiles and runs shaders so slowly that the network is a narrow one. int8 is held to the fake-quantized
    network."""
    bundles = [open_bundle(folder) for folder in narrow_bundles.values()]
    picture = sample_images("polyp")[0]
    save_masks(run_node, half_chromium, bundles, [picture], tmp_path, run_on="webgpu")
    computed = {}
    (int8_checkpoint,) = narrow_bundles["int8"].parent.glob("quantized/*.safetensors")
    references = {"int8": load_model(int8_checkpoint)}
    for bundle in bundles:
        assert_parity(bundle, references.get(bundle.contract.precision, narrow_network), picture, tmp_path)
        saved = tmp_path / bundle.folder.name
        device = json.loads((saved / f"{picture.stem}.json").read_text(encoding="utf-8"))["device"]
        shaders = json.loads((saved / "shaders.json").read_text(encoding="utf-8"))
        assert device["execution_provider"] == "webgpu"
        computed[bundle.contract.precision] = (device.get("arithmetic"), shaders["float16"] > 0)
    in_float16 = computed.pop("float16-mixed")
    assert in_float16 == ("float16", True)
    assert computed == dict.fromkeys(("float32", "float16", "int8"), (None, False))

"""Masks that the page saves, against the PyTorch reference: the browser's decoding, geometry and network together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from s2m_edge.apps.bundles import find_or_export_bundle
from s2m_edge.checkpoint import load_model
from s2m_edge.imaging.preprocess import fit_to_network, mask_in_original_size
from s2m_edge.imaging.read import read_image, read_mask
from s2m_edge.model import S2MNet
from s2m_edge.reference import probabilities, reference_logits
from s2m_edge.samples import sample_images
from s2m_edge.targets.bundle import Bundle, open_bundle
from s2m_edge.targets.parity.compare import dice_between
from s2m_edge.targets.parity.gates import GATES

pytestmark = pytest.mark.slow


def save_masks(run_node, chromium: str, bundles: list[Bundle], pictures: list[Path], out: Path) -> None:
    run_node(
        "test/e2e/masks.js",
        S2M_EDGE_CHROMIUM=chromium,
        S2M_EDGE_BUNDLES=json.dumps([str(bundle.folder) for bundle in bundles]),
        S2M_EDGE_PICTURES=json.dumps([str(path) for path in pictures]),
        S2M_EDGE_OUT=str(out),
    )


def assert_parity(bundle: Bundle, model: S2MNet, picture: Path, out: Path) -> None:
    """The page's mask and figures of one picture keep the gate of the bundle's precision, in the picture's own size."""
    contract = bundle.contract
    image = read_image(picture)
    height, width = image.shape[:2]
    fitted = fit_to_network(image, contract.preprocessing)
    reference = probabilities(reference_logits(model, fitted, contract.preprocessing))
    expected = mask_in_original_size(reference, height, width, contract.threshold)
    saved = read_mask(out / bundle.folder.name / f"{picture.stem}-mask.png")
    found = np.where(saved == 255, 1, 0).astype(np.uint8) if reference.shape[0] == 1 else saved
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


def test_masks_of_the_bundled_network_equal_the_reference_on_every_sample(
    run_node, dist: Path, chromium: str, tmp_path: Path
):
    bundles = [
        find_or_export_bundle("onnx", "polyp", precision, folder=tmp_path / "exports")
        for precision in ("float32", "float16")
    ]
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

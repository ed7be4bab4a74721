"""The board's program decodes, segments and draws as the toolkit in Python does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner_support import Run
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.overlay import paint
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network, mask_in_original_size
from s2m_edge.imaging.read import read_image
from s2m_edge.network.model import S2MNet
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.parity.compare import compare
from s2m_edge.targets.measure.parity.gates import GATES, breaches

SHAPES = ((96, 96), (131, 77), (40, 301), (353, 500))
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def pictures(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real pictures cut to odd shapes, as PNG: decoders of JPEG differ by a few levels."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for index, (height, width) in enumerate(SHAPES):
        paths.append(folder / f"picture {index} né.png")
        with Image.open(polyp_images[index]) as picture:
            picture.resize((600, 600)).crop((50, 60, 50 + width, 60 + height)).save(paths[-1])
    return paths


@pytest.mark.parametrize("spectral", ["matmul", "custom"])
def test_masks_and_probabilities_are_the_references(
    spectral: str, board_bundles: dict[str, Path], run: Run, pictures: list[Path], small_model: S2MNet, tmp_path: Path
):
    done = run(board_bundles[spectral], *pictures, "--out", tmp_path, "--probabilities", "--json")
    assert done.code == 0, done.err
    assert done.values["self_test"]["passed"] is True
    assert done.values["spectral"] == spectral
    assert len(done.values["images"]) == len(pictures)
    preprocessing = Preprocessing(96, 96)
    for path, entry in zip(pictures, done.values["images"], strict=True):
        image = read_image(path)
        reference = probabilities(reference_logits(small_model, fit_to_network(image, preprocessing), preprocessing))
        figures = compare(path.name, reference, np.load(entry["probabilities"]), 0.5, entry["network_milliseconds"])
        assert not breaches(GATES["float32"], figures)
        assert 0 < figures.mask_fraction < 1
        height, width = image.shape[:2]
        expected = mask_in_original_size(reference, height, width, 0.5)
        mask = np.asarray(Image.open(entry["mask"]))
        assert mask.shape == expected.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert ((mask == 255) == (expected == 1)).mean() >= GATES["float32"].mask_agreement
        area = int((mask == 255).sum())
        assert entry["area_pixels"] == {"polyp": area}
        assert entry["area_fraction"]["polyp"] == pytest.approx(area / mask.size)
        assert (entry["height"], entry["width"]) == image.shape[:2]


def test_the_overlay_is_painted_as_in_python_above_a_strip(
    bundle: Path, run: Run, pictures: list[Path], tmp_path: Path
):
    done = run(bundle, pictures[3], "--out", tmp_path, "--threshold", "0.9", "--json")
    (entry,) = done.values["images"]
    image = read_image(pictures[3])
    labels = (np.asarray(Image.open(entry["mask"])) == 255).astype(np.uint8)
    assert 0.02 < labels.mean() < 0.98
    overlay = np.asarray(Image.open(entry["overlay"]))
    height, width = labels.shape
    painted = paint(image, labels, default_classes(1, ("polyp",)))
    # 1 - 0.35 in float32 and in Python differ in the last bit, which shows where a value lies between two levels.
    assert np.abs(overlay[:height, :width].astype(int) - painted).max() <= 1
    assert (overlay[:height, :width] != painted).mean() < 1e-3
    strip = overlay[height:]
    assert strip.shape[0] > 20
    assert {tuple(colour) for colour in strip.reshape(-1, 3)} == {(24, 24, 24), (235, 235, 235)}
    assert done.values["notice"] == NOTICE


def from_the_top(bitmap: bytes) -> bytes:
    """A BMP of 24 bits whose rows begin at the top, which its height says by being negative."""
    offset, height = (int.from_bytes(bitmap[at : at + 4], "little", signed=True) for at in (10, 22))
    rows = np.frombuffer(bitmap[offset:], np.uint8).reshape(height, -1)
    return bitmap[:22] + (-height).to_bytes(4, "little", signed=True) + bitmap[26:offset] + rows[::-1].tobytes()


def segments(jpeg: bytes) -> list[tuple[int, bytes]]:
    """Marker and whole bytes of the segments of a baseline JPEG, the scan's data with the scan's header."""
    found, at = [(0xD8, jpeg[:2])], 2
    while jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append((jpeg[at + 1], jpeg[at : at + length]))
        at += length
    return [*found, (0xDA, jpeg[at:-2]), (0xD9, jpeg[-2:])]


def write_pictures(source: Path, folder: Path) -> list[Path]:
    """One picture in many forms, all without loss."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB").resize((90, 61))
    grey = picture.convert("L")
    deep = (np.asarray(grey, dtype=np.uint16) * 37 + 900).astype(np.uint16)
    forms = {
        "rgb.png": picture,
        "rgb.bmp": picture,
        "rgb.ppm": picture,
        "grey.png": grey,
        "grey.pgm": grey,
        "alpha.png": Image.merge("RGBA", (*picture.split(), grey)),
        "grey-alpha.png": Image.merge("LA", (grey, grey)),
        "palette.png": picture.quantize(64),
        "bilevel.png": Image.fromarray(np.asarray(grey) > 90),
        "deep.png": Image.fromarray(deep),
        "deep.pgm": Image.fromarray(deep),
    }
    for name, form in forms.items():
        form.save(folder / name)
    (folder / "scaled.pgm").write_bytes(
        b"P5 # of 100 levels\n90 61\n100\n" + bytes(level * 100 // 255 for level in grey.tobytes())
    )
    (folder / "scaled.ppm").write_bytes(b"P6 90 61 700\n" + (np.asarray(picture).astype(">u2") * 2).tobytes())
    (folder / "turned.bmp").write_bytes(from_the_top((folder / "rgb.bmp").read_bytes()))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        picture.save(folder / f"turned-{orientation}.png", exif=exif)
    return sorted(folder.iterdir())


def test_pictures_are_read_as_in_python(bundle: Path, run: Run, polyp_images: list[Path], tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    paths = write_pictures(polyp_images[0], folder)
    done = run(bundle, folder, "--out", tmp_path / "out", "--threshold", "1", "--json")  # no mask: the picture as read
    assert done.code == 0, done.err
    entries = done.values["images"]
    assert [entry["image"] for entry in entries] == [str(path) for path in paths]
    assert len({entry["overlay"] for entry in entries}) == len(paths), "equal stems are numbered"
    for path, entry in zip(paths, entries, strict=True):
        expected = read_image(path)
        height, width = expected.shape[:2]
        shown = np.asarray(Image.open(entry["overlay"]))[:height, :width]
        assert entry["area_pixels"] == {"polyp": 0}
        assert np.array_equal(shown, expected), path.name


def test_jpeg_with_orientation_is_read_to_a_few_levels(
    bundle: Path, run: Run, polyp_images: list[Path], tmp_path: Path
):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = tmp_path / "turned.jpg"
    with Image.open(polyp_images[0]) as picture:
        picture.crop((0, 0, 200, 101)).save(path, quality=95, exif=exif)
    (entry,) = run(bundle, path, "--out", tmp_path, "--threshold", "1", "--json").values["images"]
    expected = read_image(path)
    assert (entry["height"], entry["width"]) == expected.shape[:2] == (200, 101)
    shown = np.asarray(Image.open(entry["overlay"]))[:200, :101]
    difference = np.abs(shown.astype(int) - expected)
    assert difference.mean() < 1
    assert np.percentile(difference, 99) <= 8


def damaged(source: Path, folder: Path) -> dict[str, tuple[bytes, str]]:
    """File name to content and what the error says."""
    picture = read_image(source)[:64, :80]
    whole = {}
    for suffix in ("png", "jpg", "bmp", "ppm"):
        Image.fromarray(picture).save(folder / f"whole.{suffix}")
        whole[suffix] = (folder / f"whole.{suffix}").read_bytes()
    Image.fromarray(picture[:7]).save(folder / "tiny.png")
    parts = segments(whole["jpg"])
    without = {marker: b"".join(part for found, part in parts if found != marker) for marker in (0xC4, 0xDB, 0xDA)}
    flipped = bytearray(whole["png"])
    flipped[len(flipped) // 2] ^= 4
    return {
        "short.png": (whole["png"][: len(whole["png"]) // 2], "truncated"),
        "end.png": (whole["png"][:-5], "truncated"),
        "flipped.png": (bytes(flipped), "checksum"),
        "short.jpg": (whole["jpg"][: len(whole["jpg"]) // 2], "truncated"),
        "end.jpg": (whole["jpg"][:-2], "truncated"),
        "header.jpg": (whole["jpg"][:40] + whole["jpg"][-2:], "cannot be read as an image"),
        "no-codes.jpg": (without[0xC4], "no DC huff"),
        "no-divisors.jpg": (without[0xDB], "no quantization table"),
        "no-scan.jpg": (without[0xDA], "no scan"),
        "short.bmp": (whole["bmp"][:-200], "truncated"),
        "header.bmp": (whole["bmp"][:60], "truncated"),
        "short.ppm": (whole["ppm"][:-1], "truncated"),
        "overflow.pgm": (b"P5\n21474836470 8\n255\n" + b"\0" * 800, "above 65535"),
        "huge.ppm": (b"P6\n65535 65535\n255\n" + b"\0" * 800, "truncated"),
        "nothing.pgm": (b"P5\n0 64\n255\n", "header"),
        "text.png": (b"no picture at all\n" * 20, "cannot be read as an image"),
        "empty.png": (b"", "0 bytes"),
        "tiny.png": ((folder / "tiny.png").read_bytes(), "80 x 7 pixels"),
    }


def test_an_image_that_cannot_be_read_is_named_and_does_not_stop_the_others(
    bundle: Path, run: Run, polyp_images: list[Path], tmp_path: Path
):
    cases = damaged(polyp_images[0], tmp_path)
    paths = []
    for name, (content, _) in cases.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    missing = tmp_path / "missing.png"
    done = run(bundle, *paths, missing, tmp_path / "whole.png", "--out", tmp_path / "out", "--json")
    assert done.code == 2
    assert [entry["image"] for entry in done.values["images"]] == [str(tmp_path / "whole.png")]
    failures = done.values["failures"]
    assert done.err.splitlines() == [f"error: {failure}" for failure in failures]
    for path, failure, (_, words) in zip(paths, failures, cases.values(), strict=False):
        assert str(path) in failure
        assert words in failure
    assert failures[-1].startswith(f"there is no image {missing}")
    assert len(failures) == len(paths) + 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["whole-mask.png", "whole-overlay.png"]

"""The toolkit from Python: what `import s2m_edge` offers does what the commands do."""

from __future__ import annotations

import doctest
import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import s2m_edge
from networks import plain_u_net
from s2m_edge import api
from s2m_edge.errors import ConfigurationError, ContractError, ImageError
from s2m_edge.imaging.preprocess import mask_from_probabilities
from s2m_edge.imaging.window import Window
from s2m_edge.notice import NOTICE
from s2m_edge.samples import sample_images
from s2m_edge.targets import predict
from support import write_sample_folder

PICTURE = sample_images("polyp")[0]


@pytest.fixture(scope="module")
def exported(small_checkpoint: Path, tmp_path_factory) -> Path:
    """A bundle of the small checkpoint, by the function."""
    out = tmp_path_factory.mktemp("exports")
    bundle = s2m_edge.export(small_checkpoint, target="onnx", images=sample_images("polyp")[:2], out=out)
    assert bundle.folder == out / "small-onnx-float32"
    return bundle.folder


@pytest.fixture(scope="module")
def sliding(tmp_path_factory) -> s2m_edge.LoadedBundle:
    """A bundle of a network that slides over pictures."""
    network, spec = plain_u_net(64, 64)
    spec = replace(spec, window=Window())
    out = tmp_path_factory.mktemp("windows")
    return s2m_edge.load_bundle(s2m_edge.export(network, spec, target="onnx", images=[PICTURE], out=out).folder)


def test_every_name_that_is_offered_is_there():
    assert set(s2m_edge.__all__) <= set(dir(s2m_edge))
    assert all(getattr(s2m_edge, name) is not None for name in s2m_edge.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'predict_image'"):
        _ = s2m_edge.predict_image  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("module", [api, predict], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings(module, exported: Path, small_checkpoint: Path, tmp_path: Path):
    given = {
        "bundle": exported,
        "checkpoint": small_checkpoint,
        "picture": PICTURE,
        "data": write_sample_folder(tmp_path / "data", ["test"], "polyp"),
    }
    result = doctest.testmod(module, extraglobs=given)
    assert result.attempted >= 2
    assert result.failed == 0


def test_a_prediction_is_what_the_command_writes(exported: Path, run, elsewhere: Path):
    found = s2m_edge.load_bundle(exported).predict(PICTURE)
    code, out, _ = run("predict", exported, PICTURE, "--json")
    assert code == 0
    told = json.loads(out)["images"][0]
    assert np.array_equal(np.asarray(Image.open(told["mask"])) > 0, found.labels > 0)
    assert (found.areas, found.labels.shape) == (told["area_pixels"], (told["height"], told["width"]))
    assert NOTICE in repr(found)
    assert f"polyp {told['area_fraction']['polyp']:.1%}" in repr(found)
    with pytest.raises(FrozenInstanceError):
        found.labels = found.labels  # type: ignore[misc]


def test_a_picture_is_a_path_an_array_or_one_of_pillow(exported: Path):
    loaded = s2m_edge.load_bundle(exported)
    expected = loaded.predict(str(PICTURE))
    with Image.open(PICTURE) as picture:
        turned = picture.transpose(Image.Transpose.ROTATE_90)
        turned.getexif()[0x0112] = 6  # turn it clockwise to see it
        given = [picture.copy(), picture.convert("RGBA"), turned, np.asarray(picture)]
    for image in given:
        assert np.array_equal(loaded.predict(image).labels, expected.labels)
    grey = expected.image[..., 1]
    assert np.array_equal(loaded.predict(grey).image, np.repeat(grey[..., None], 3, axis=2))
    deep = grey.astype(np.uint16) * 257
    deep[0, :2] = (0, 65535)  # so that the rule spreads over the whole range
    assert np.abs(loaded.predict(deep).image[1:].astype(int) - grey[1:, :, None]).max() == 0
    nothing = np.full((16, 16), np.nan)
    for refused in (expected.image[..., :2], nothing, grey > 3, expected.image[:4, :4], [[1]], None):
        with pytest.raises(ImageError):
            loaded.predict(refused)  # type: ignore[arg-type]


def test_labels_are_decided_from_the_probabilities(exported: Path, sliding: s2m_edge.LoadedBundle):
    for loaded in (s2m_edge.load_bundle(exported), sliding):
        found = loaded.predict(PICTURE, threshold=0.6)
        assert found.probabilities is not None
        assert (found.windows > 1) == (loaded is sliding)
        assert found.probabilities.shape == (1, *found.image.shape[:2])
        assert np.array_equal(mask_from_probabilities(found.probabilities, 0.6), found.labels)
        assert loaded.predict(PICTURE, probabilities=False).probabilities is None


def test_what_makes_no_sense_for_a_picture_is_refused(exported: Path):
    loaded = s2m_edge.load_bundle(exported)
    pixels = np.zeros((32, 32, 3), np.uint8)
    for options in ({"slice_index": 1}, {"plane": "coronal"}, {"threshold": 1.5}):
        with pytest.raises(ConfigurationError):
            loaded.predict(pixels, **options)  # type: ignore[arg-type]


def test_parity_is_of_the_network_that_was_exported(exported: Path, small_checkpoint: Path, small_model):
    report = s2m_edge.parity(exported, model=small_checkpoint, images=PICTURE.parent, limit=1)
    assert report.passed
    assert len(report.images) == 1
    with pytest.raises(ContractError, match="does not have the weights"):
        s2m_edge.parity(exported, model="polyp")
    with pytest.raises(ConfigurationError, match="without a specification"):
        s2m_edge.parity(exported, model=small_model)


def test_a_bundle_and_its_checkpoint_score_alike(exported: Path, small_checkpoint: Path, tmp_path: Path, run):
    data = write_sample_folder(tmp_path / "data", ["test", "test"], "polyp")
    scores = [s2m_edge.evaluate(model, data) for model in (exported, small_checkpoint)]
    first, second = (entry.mean() for entry in scores)
    assert first == pytest.approx(second, abs=1e-3)
    code, out, _ = run("evaluate", exported, "--data", data, "--out", tmp_path / "by-command", "--json")
    assert code == 0
    assert json.loads(out)["metrics"] == scores[0].to_dict()["metrics"]
    scores[0].write(tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"metrics.csv", "metrics.json", "worst.png"}
    assert f"dice {first:.3f}" in repr(scores[0])
    assert NOTICE in repr(scores[0])
    with pytest.raises(ConfigurationError, match="no metric 'accuracy'"):
        scores[0].mean("accuracy")


def test_a_network_in_memory_needs_its_specification():
    network, spec = plain_u_net(64, 64)
    with pytest.raises(ConfigurationError, match="without a specification"):
        s2m_edge.export(network, target="onnx")
    with pytest.raises(ConfigurationError, match="brings its specification"):
        s2m_edge.export("polyp", spec, target="onnx")

"""An artifact whose answer is no number for some pictures gives no mask of them, through every door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from s2m_edge import export
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import AnswerError
from s2m_edge.samples import sample_images
from s2m_edge.targets.predict import load_bundle


class FailsOnBlack(nn.Module):
    """Finds what is bright; of a picture that is black in its corner it has nothing but the logarithm of zero."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.convolution.weight, 4.0)
        assert self.convolution.bias is not None
        nn.init.constant_(self.convolution.bias, -5.0)

    def forward(self, image: Tensor) -> Tensor:
        return self.convolution(image) + 0.0 * torch.log(image[:, :1, :1, :1])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = make_spec("fails-on-black", height=64, width=64, classes=("bright",), provenance={"domain": "skin"})
    images = [path for path in sample_images("skin") if np.asarray(Image.open(path).convert("RGB"))[:8, :8].min() > 8]
    return export(FailsOnBlack(), spec, target="onnx", images=images[:3], out=tmp_path_factory.mktemp("out")).folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, level in (("fine.png", 180), ("broken.png", 0), ("also-fine.png", 200)):
        Image.fromarray(np.full((80, 70, 3), level, dtype=np.uint8)).save(folder / name)
    return folder


def test_the_library_names_the_picture_and_goes_on_with_the_next(bundle: Path, pictures: Path):
    loaded = load_bundle(bundle)
    assert loaded.predict(pictures / "fine.png").labels.mean() == 1.0
    with pytest.raises(AnswerError, match=r"broken\.png: the artifact's answer is not a number; no mask is made of it"):
        loaded.predict(pictures / "broken.png")
    assert loaded.predict(pictures / "also-fine.png").labels.mean() == 1.0


def test_the_command_writes_the_masks_that_are_and_exits_with_2(bundle: Path, pictures: Path, tmp_path: Path, run):
    code, _, errors = run("predict", bundle, pictures, "--out", tmp_path / "masks")
    assert code == 2
    assert "broken.png: the artifact's answer is not a number" in " ".join(errors.split())
    written = {path.name for path in (tmp_path / "masks").iterdir()}
    assert written == {f"{stem}-{what}.png" for stem in ("fine", "also-fine") for what in ("mask", "overlay")}


def test_an_evaluation_stops(bundle: Path, pictures: Path, tmp_path: Path, run):
    for folder in ("images", "masks"):
        (tmp_path / "data" / "test" / folder).mkdir(parents=True)
    (tmp_path / "data" / "test" / "images" / "broken.png").write_bytes((pictures / "broken.png").read_bytes())
    Image.fromarray(np.zeros((80, 70), dtype=np.uint8)).save(tmp_path / "data" / "test" / "masks" / "broken.png")
    code, _, errors = run("evaluate", bundle, "--data", tmp_path / "data", "--out", tmp_path / "report")
    assert code == 2
    assert "broken.png: the artifact's answer is not a number" in " ".join(errors.split())
    assert not (tmp_path / "report").exists()

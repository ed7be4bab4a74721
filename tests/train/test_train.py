"""Training reads image folders faithfully, learns, and says what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.train.data.folders import list_samples, read_binary_mask, read_labels
from s2m_edge.train.data.items import load_samples
from s2m_edge.train.data.module import ImageFolderData
from support import write_sample_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image folder of the bundled real pictures: two to train on, one to validate, one to test."""
    return write_sample_folder(tmp_path / "data", ("train", "train", "val", "test"))


def test_samples_follow_the_split(folder: Path):
    assert len(list_samples(folder, "train")) == 2
    sample = list_samples(folder, "val")[0]
    assert sample.image.stem == sample.mask.stem == sample.stem


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: (root / "split.csv").unlink(), "no split.csv"),
        (lambda root: next((root / "images").glob("*")).unlink(), "has no image"),
        (lambda root: next((root / "masks").glob("*")).unlink(), "has no mask"),
        (lambda root: (root / "split.csv").write_text("stem,split\n"), "no rows of the split 'train'"),
    ],
)
def test_a_damaged_folder_is_refused(folder: Path, damage, words):
    damage(folder)
    with pytest.raises(ImageError, match=words):  # noqa: PT012 - whichever split names the damaged sample
        for split in ("train", "val", "test"):
            list_samples(folder, split)


def test_labels_keep_their_classes_at_another_size(tmp_path: Path):
    labels = np.zeros((60, 90), np.uint8)
    labels[:, 30:60], labels[:, 60:] = 1, 3
    Image.fromarray(labels).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.png", 4), labels)
    stretched = read_labels(tmp_path / "labels.png", 4, 96)
    assert stretched.shape == (96, 96)
    assert set(np.unique(stretched)) == {0, 1, 3}  # and no 2 between 1 and 3
    with pytest.raises(ImageError, match="holds the label 3, and the classes are 0 to 2"):
        read_labels(tmp_path / "labels.png", 3)


def test_masks_of_255_and_of_1_mean_the_same(tmp_path: Path):
    mask = np.zeros((60, 90), np.uint8)
    mask[:30, :45] = 1
    Image.fromarray(mask).save(tmp_path / "one.png")
    Image.fromarray(mask * 255).save(tmp_path / "full.png")
    assert np.array_equal(read_binary_mask(tmp_path / "one.png"), mask)
    assert np.array_equal(read_binary_mask(tmp_path / "full.png"), mask)
    small = read_binary_mask(tmp_path / "one.png", 96)
    assert small.shape == (96, 96)
    assert small[:47, :47].all()
    assert not small[49:].any()


def test_augmentation_moves_image_and_mask_together(folder: Path):
    data = ImageFolderData(folder, 96, 3, 1, seed=0)
    data.setup("fit")
    # A picture that is its own mask: wherever the mask goes, the picture's bright part goes too.
    mask = torch.zeros(1, 96, 96, dtype=torch.uint8)
    mask[:, 20:50, 30:80] = 1
    data.training = [{"image": mask.repeat(3, 1, 1) * 200 + 20, "mask": mask}] * 12
    moved = 0
    for batch in data.train_dataloader():
        image, target = batch["image"], batch["mask"]
        assert image.shape == (1, 3, 96, 96)
        assert 0 <= image.min() <= image.max() <= 1
        assert set(target.unique().tolist()) <= {0.0, 1.0}
        bright = (image.mean(dim=1, keepdim=True) > image.mean(dim=1).median() / 2 + image.max() / 2).float()
        overlap = 2 * (bright * target).sum() / (bright.sum() + target.sum()).clamp(min=1)
        moved += int(not torch.equal(target[0], mask.float()))
        assert overlap > 0.8
    assert moved >= 8


def test_pictures_are_held_as_the_network_will_see_them(folder: Path):
    loaded = load_samples(list_samples(folder, "train"), 96, 3)
    assert loaded[0]["image"].shape == (3, 96, 96)
    assert loaded[0]["image"].dtype == loaded[0]["mask"].dtype == torch.uint8
    assert 0 < loaded[0]["mask"].float().mean() < 1


def test_the_network_can_learn_one_picture(folder: Path):
    """A training step that could not learn would pass every other test."""
    from s2m_edge.train.module import SegmentationModule
    from s2m_edge.train.recipe import Phase, Recipe

    torch.manual_seed(0)
    sample = load_samples(list_samples(folder, "train"), 96, 3)[0]
    batch = {"image": sample["image"][None].float() / 255, "mask": sample["mask"][None].float()}
    recipe = Recipe("one", "One picture", ("polyp",), (Phase(96, 1, 2, 3e-3),), loss="dice_ce")
    module = SegmentationModule(recipe, recipe.phases[0]).train()
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = module.loss(module.network(batch["image"].repeat(2, 1, 1, 1)), batch["mask"].repeat(2, 1, 1, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]

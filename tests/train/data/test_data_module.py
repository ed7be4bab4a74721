"""The data module: what an epoch draws depends on seed, epoch and sample alone; patches see what the camera saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.train.data.folders import list_samples
from s2m_edge.train.data.items import load_sample
from s2m_edge.train.data.module import ImageFolderData
from s2m_edge.train.data.patches import FIELD, PatchSampling, build_patch_sampler


def batches(data: ImageFolderData, epoch: int = 0) -> list[dict]:
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[union-attr]
    return list(loader)


def same(left: list[dict], right: list[dict]) -> bool:
    return all(
        a["stem"] == b["stem"] and torch.equal(a["image"], b["image"]) and torch.equal(a["mask"], b["mask"])
        for a, b in zip(left, right, strict=True)
    )


def make(folder: Path, **options) -> ImageFolderData:
    return ImageFolderData(folder, 96, 3, 1, seed=7, **{"augmentation": "whole_image", **options})


def test_an_epoch_is_the_same_however_it_is_read(folder: Path):
    first = batches(make(folder), epoch=3)
    assert same(first, batches(make(folder), epoch=3))
    assert same(first, batches(make(folder, in_memory=False, workers=2), epoch=3))
    assert not same(first, batches(make(folder), epoch=4))


def test_augmenting_after_the_transfer_gives_the_same_pictures(folder: Path):
    late = make(folder, augment_on_device=True)
    moved = [late.on_after_batch_transfer(batch, 0) for batch in batches(late)]
    assert same(batches(make(folder)), moved)
    assert set(moved[0]) == {"image", "mask", "stem"}


def test_validation_pictures_come_unchanged(folder: Path):
    data = make(folder)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    expected = load_sample(list_samples(folder, "val")[0], 96, 3)
    torch.testing.assert_close(batch["image"][0], expected["image"].float() / 255)
    assert torch.equal(batch["mask"][0], expected["mask"].float())
    shown = data.validation_items(5)
    assert len(shown) == 1
    assert torch.equal(shown[0]["image"], batch["image"][0])


def test_an_unreadable_file_in_an_epoch_is_one_line(folder: Path):
    list_samples(folder, "train")[0].image.write_bytes(b"no image any more")
    for workers in (0, 1):
        with pytest.raises(ImageError, match="cannot be read as an image") as caught:
            batches(make(folder, in_memory=False, workers=workers))
        assert "Traceback" not in str(caught.value)
        assert str(caught.value).startswith(str(folder))


def test_a_mask_of_another_size_is_refused(folder: Path):
    mask = list_samples(folder, "train")[0].mask
    Image.new("L", (50, 40)).save(mask)
    with pytest.raises(ImageError, match="is 50 x 40 and its image"):
        make(folder).setup("fit")


def test_without_a_validation_split_some_of_training_is_held_out(folder: Path):
    table = folder / "split.csv"
    before = table.read_text()
    table.write_text(before.replace(",val", ",test"))
    data = make(folder)
    data.setup("fit")
    assert len(data.validation) == 1
    assert data.validation[0]["stem"] not in {item["stem"] for item in data.training}
    table.write_text(before.replace(",train", ",test").replace(",val", ",test"))
    with pytest.raises(ImageError, match="too few samples to train on"):
        make(folder).setup("fit")


def test_labels_of_several_classes_arrive_whole(folder: Path):
    for split in ("train", "val"):
        for sample in list_samples(folder, split):
            with Image.open(sample.mask) as mask:
                labels = np.zeros((mask.height, mask.width), np.uint8)
            third = mask.width // 3
            labels[:, third : 2 * third], labels[:, 2 * third :] = 1, 3
            Image.fromarray(labels).save(sample.mask)
    data = make(folder, classes=4)
    assert {value for batch in batches(data) for value in batch["mask"].unique().tolist()} == {0.0, 1.0, 3.0}
    with pytest.raises(ImageError, match="the classes are 0 to 2"):
        make(folder, classes=3).setup("fit")


def test_a_published_data_set_feeds_training(tmp_path: Path):
    disc = np.hypot(*np.mgrid[-150:150, -160:160]) < 140
    for n in range(1, 15):
        picture = np.zeros((300, 320, 3), np.uint8)
        picture[disc] = (150, 80, 30)
        Image.fromarray(picture).save(tmp_path / f"Image_{n:02d}L.jpg")
        Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / f"Image_{n:02d}L_1stHO.png")
    data = ImageFolderData(
        tmp_path, 96, 1, 4, seed=0, preset="chase_db1", augmentation="vessel", patches=PatchSampling(per_image=3)
    )
    found = batches(data)
    assert len(found) == 8 * 3 // 4
    assert all(batch["image"].shape == (4, 1, 96, 96) for batch in found)
    whole = next(iter(data.val_dataloader()))
    assert whole["image"].shape == (1, 1, 300, 320)  # whole, for the sliding window
    assert (whole[FIELD][0, 0].numpy() == disc).mean() > 0.99


def cut(sampler: Any, item: dict[str, Any]) -> dict[str, Any]:
    (patch,) = sampler(item)
    return patch


def test_patches_have_their_centres_where_the_camera_saw():
    sampler = build_patch_sampler(32)
    view = torch.zeros(1, 200, 160)
    view[:, 60:100, 90:130] = 1
    rows, columns = torch.meshgrid(torch.arange(200.0), torch.arange(160.0), indexing="ij")
    places = set()
    for draw in range(40):
        sampler.set_random_state(draw)
        patch = cut(sampler, {"image": torch.stack([rows, columns]), "mask": view.clone(), FIELD: view})
        assert set(patch) >= {"image", "mask"}
        assert FIELD not in patch
        top, left = (int(patch["image"][axis, 0, 0]) for axis in (0, 1))
        assert view[0, top + 16, left + 16] == 1
        assert torch.equal(torch.as_tensor(patch["mask"]), view[:, top : top + 32, left : left + 32])
        places.add((top, left))
    assert len(places) > 30


def test_a_picture_smaller_than_the_patch_is_padded():
    sampler = build_patch_sampler(64)
    sampler.set_random_state(0)
    plane = torch.ones(1, 40, 50)
    patch = cut(sampler, {"image": plane.repeat(3, 1, 1), "mask": plane, FIELD: plane})
    assert patch["image"].shape == (3, 64, 64)
    assert patch["mask"].sum() == 40 * 50


def test_an_epoch_can_be_a_part_of_the_samples(folder: Path):
    data = ImageFolderData(folder, 96, 3, 1, seed=0, epoch_parts=2)
    data.setup("fit")
    whole = {item["stem"] for item in data.training}
    seen = []
    for epoch in range(4):
        order: Any = data.train_dataloader().sampler
        order.set_epoch(epoch)
        drawn = list(order)
        assert len(drawn) == len(order)
        assert {number for number, _ in drawn} == {epoch}
        seen.append([data.training[index]["stem"] for _, index in drawn])
    for first, second in (seen[:2], seen[2:]):
        assert sorted(first + second) == sorted(whole)

"""Augmentation changes what it should, as far as it should, and keeps labels labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from s2m_edge.errors import ConfigurationError
from s2m_edge.train.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    build_augmentation,
    find_augmentation,
    jitter_colour,
)
from s2m_edge.train.data.module import augmented

SIZE = 96


def item(channels: int = 3) -> dict[str, torch.Tensor]:
    """A picture that shows its mask: bright where the label is 2, half-bright where it is 1."""
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 20:50, 30:80], mask[:, 30:40, 45:60] = 1, 2
    return {"image": (mask * 0.35 + 0.1).repeat(channels, 1, 1), "mask": mask}


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_stay_labels_and_follow_the_image(name: str, channels: int):
    chosen = replace(AUGMENTATIONS[name], jitter=None, gamma=None, gain=0.0, offset=0.0, cut_out=0.0)
    transform = build_augmentation(chosen, SIZE)
    moved = 0
    for draw in range(12):
        changed = augmented(item(channels), transform, draw)
        image, mask = changed["image"], changed["mask"]
        assert image.shape == (channels, SIZE, SIZE)
        assert set(mask.unique().tolist()) <= {0.0, 1.0, 2.0}
        disagreement = ((image[:1] - 0.1) / 0.35 - mask).abs() > 0.5
        assert disagreement.float().mean() < 0.02  # outlines alone, where bilinear meets nearest
        moved += int(not torch.equal(mask, item()["mask"]))
    assert moved >= 5


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_draw_repeats_itself_and_others_differ(name: str):
    transform = build_augmentation(AUGMENTATIONS[name], SIZE)
    first, again, other = (augmented(item(), transform, draw) for draw in (5, 5, 6))
    assert torch.equal(first["image"], again["image"])
    assert torch.equal(first["mask"], again["mask"])
    assert not torch.equal(first["image"], other["image"])
    assert type(first["image"]) is torch.Tensor  # no metadata to collate
    assert first["image"].min() >= 0
    assert first["image"].max() <= 1


def test_a_crop_enlarges_by_no_more_than_its_area_allows():
    transform = build_augmentation(Augmentation(flip_rows=0, flip_columns=0, crop=1.0, crop_area=0.5), SIZE)
    checks = torch.zeros(1, SIZE, SIZE)
    checks[:, :, SIZE // 2 :] = 1
    ramp = torch.linspace(0, 1, SIZE).expand(1, SIZE, SIZE)  # brightness says which columns are left
    widths = []
    for draw in range(20):
        changed = augmented({"image": ramp.repeat(3, 1, 1), "mask": checks}, transform, draw)["image"]
        widths.append(float(changed.max() - changed.min()))
    assert 0.68 <= min(widths) < 0.85
    assert 0.9 < max(widths) <= 1.0


def test_cut_out_blackens_the_image_alone():
    transform = build_augmentation(Augmentation(flip_rows=0, flip_columns=0, cut_out=1.0), SIZE)
    changed = augmented(item(), transform, 0)
    assert 0 < (changed["image"] == 0).float().mean() < 0.3
    assert torch.equal(changed["mask"], item()["mask"])


def test_mild_never_turns_a_picture_upside_down():
    transform = build_augmentation(replace(AUGMENTATIONS["mild"], jitter=None), SIZE)
    above = item()
    above["mask"] = torch.zeros(1, SIZE, SIZE)
    above["mask"][:, :20, 40:56] = 1
    for draw in range(15):
        assert augmented(above, transform, draw)["mask"][:, SIZE // 2 :].sum() == 0


def test_magnetic_resonance_keeps_the_sides_of_the_body():
    chosen = AUGMENTATIONS["magnetic_resonance"]
    transform = build_augmentation(replace(chosen, jitter=None, gamma=None), SIZE)
    beside = item(channels=1)
    beside["mask"] = torch.zeros(1, SIZE, SIZE)
    beside["mask"][:, 40:56, 8:20] = 1
    for draw in range(30):
        assert augmented(beside, transform, draw)["mask"][:, :, SIZE // 2 :].sum() == 0


def test_magnetic_resonance_changes_how_dark_a_scan_is():
    chosen = replace(AUGMENTATIONS["magnetic_resonance"], affine=0.0, crop=0.0, jitter=None)  # gamma alone
    transform = build_augmentation(chosen, SIZE)
    scan = {"image": torch.linspace(0, 1, SIZE).expand(1, SIZE, SIZE), "mask": torch.zeros(1, SIZE, SIZE)}
    brightness = [float(augmented(scan, transform, draw)["image"].mean()) for draw in range(40)]
    assert min(brightness) < 0.4
    assert max(brightness) > 0.6


def test_colour_jitter_does_what_its_names_say():
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    grey = torch.tensor([0.299, 0.587, 0.114])

    def luma(picture: torch.Tensor) -> torch.Tensor:
        return torch.tensordot(grey, picture, dims=1)

    torch.testing.assert_close(jitter_colour(image, 1, 1, 1, 0), image)
    torch.testing.assert_close(jitter_colour(image, 1.2, 1, 1, 0), image * 1.2)
    unsaturated = jitter_colour(image, 1, 1, 0, 0)
    torch.testing.assert_close(unsaturated, luma(image).expand(3, 8, 8), atol=2e-3, rtol=0)
    turned = jitter_colour(image, 1, 1, 1, 0.1)
    torch.testing.assert_close(luma(turned), luma(image), atol=2e-3, rtol=0)
    assert (turned - image).abs().max() > 0.02
    steeper = jitter_colour(image, 1, 1.5, 1, 0)
    assert luma(steeper).std() == pytest.approx(1.5 * float(luma(image).std()), rel=0.05)
    assert luma(steeper).mean() == pytest.approx(float(luma(image).mean()), abs=1e-2)
    assert jitter_colour(image[:1], 1.2, 1, 1, 0.1).shape == (1, 8, 8)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ConfigurationError, match=r"no augmentation 'wild'.*mild"):
        find_augmentation("wild")


def test_enhancement_spreads_the_green_channel():
    from s2m_edge.train.data.enhance import enhance_vessels

    rng = np.random.default_rng(0)
    dim = np.zeros((128, 160, 3), np.uint8)
    dim[..., 1] = 90 + rng.integers(0, 8, (128, 160))
    dim[60:64, :, 1] = 80  # a faint vessel
    enhanced = enhance_vessels(dim)
    assert enhanced.shape == dim.shape
    assert enhanced.dtype == np.uint8
    assert (enhanced[..., 0] == enhanced[..., 2]).all()
    contrast = enhanced[70:90, :, 0].mean() - enhanced[61:63, :, 0].mean()
    assert contrast > 2 * (dim[70:90, :, 1].mean() - 80)

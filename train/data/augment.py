"""Random changes of image and mask together, through MONAI."""

from __future__ import annotations

import numpy as np
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)


def whole_image_augmentation(seed: int) -> Compose:
    """Flips, rotation to 180 degrees, shift and scale 0.2, intensity jitter (design of the paper's table 12)."""
    pair = ["image", "mask"]
    transforms = Compose(
        [
            RandFlipd(pair, prob=0.5, spatial_axis=0),
            RandFlipd(pair, prob=0.5, spatial_axis=1),
            RandAffined(
                pair,
                prob=0.8,
                rotate_range=np.pi,
                scale_range=(0.25, 0.25),
                translate_range=None,
                mode=("bilinear", "nearest"),
                padding_mode="reflection",
            ),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.7, 1.5)),
            RandScaleIntensityd("image", prob=0.7, factors=0.2, channel_wise=True),
            RandShiftIntensityd("image", prob=0.7, offsets=0.1),
        ]
    )
    transforms.set_random_state(seed)
    return transforms

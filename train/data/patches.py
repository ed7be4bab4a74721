"""Training on patches at native size: fundus photographs, whose vessels would not survive being shrunk."""

from __future__ import annotations

from dataclasses import dataclass

from monai.transforms import Compose, DeleteItemsd, RandWeightedCropd, SpatialPadd

FIELD = "field_of_view"


@dataclass(frozen=True)
class PatchSampling:
    """Random patches of the network's size.

    Attributes:
        per_image: patches that one image gives in an epoch.
    """

    per_image: int = 16


def build_patch_sampler(size: int) -> Compose:
    """A random size x size patch whose centre the camera saw; seed it with `set_random_state`.

    It takes {"image": C x H x W, "mask": 1 x H x W, "field_of_view": 1 x H x W of 0 and 1} and gives a list of one
    {"image", "mask"}. Smaller images are padded with black, which no centre is drawn from. Within the field of view all
    centres are equally likely, but those near the image's border move inwards until the patch fits.
    """
    keys = ("image", "mask", FIELD)
    return Compose(
        [
            SpatialPadd(keys, spatial_size=(size, size)),
            RandWeightedCropd(("image", "mask"), w_key=FIELD, spatial_size=(size, size), num_samples=1),
            DeleteItemsd(FIELD),
        ]
    )

"""Contrast enhancement of fundus photographs, as the paper has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import MissingBackendError
from s2m_edge.installation import install_command

CLIP_LIMIT = 2.0
TILES = 8
LEVELS = 256


def enhance_vessels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Green channel, contrast-limited adaptive histogram equalisation (clip limit 2, 8 x 8 tiles), as three channels.

    Off wherever it can be chosen, and meant for comparisons with the paper alone: the deployment contract knows resize,
    scale, mean and deviation, and nothing else, so that an app in any language can repeat it to the last bit. A network
    trained on enhanced pictures would see others on a device than it was trained on.

    Args:
        image: RGB, H x W x 3.

    Returns:
        H x W x 3, the three channels alike.

    Raises:
        MissingBackendError: scikit-image is not installed.
    """
    try:
        from skimage.exposure import equalize_adapthist
    except ImportError:
        raise MissingBackendError("scikit-image is not installed", install_command("train")) from None
    height, width = image.shape[:2]
    tile = (max(1, height // TILES), max(1, width // TILES))
    # OpenCV's clip limit of c counts c * tile / 256 pixels per level, scikit-image's fraction f of them f * tile.
    equalised = equalize_adapthist(image[..., 1], kernel_size=tile, clip_limit=CLIP_LIMIT / LEVELS, nbins=LEVELS)
    grey = np.floor(np.clip(equalised, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)

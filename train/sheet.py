"""A sheet of pictures to follow a training run by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from s2m_edge.imaging.classes import default_classes
from s2m_edge.network.model import S2MNet
from s2m_edge.notice import NOTICE
from s2m_edge.train.losses import labels_from_logits
from s2m_edge.train.teacher.network import TeacherNetwork

if TYPE_CHECKING:
    from PIL import Image

TILE = 192
HEADINGS = ("image", "truth", "prediction", "boundary map")


def draw_sheet(network: S2MNet | TeacherNetwork, items: Sequence[dict[str, Any]], title: str) -> Image.Image:
    """One row per item: image, truth, prediction, and the decoder's finest boundary map (bright where it sees one;
    a teacher has none).

    Args:
        network: of any mode; it is left in the mode that it was in.
        items: {"image": C x H x W in [0, 1], "mask": 1 x H x W of labels}. Pictures larger than the network are
            cropped around the middle.
        title: goes above.
    """
    from PIL import Image, ImageDraw, ImageFont

    training = network.training
    network.eval()
    font = ImageFont.load_default(size=13)
    sheet = Image.new("RGB", (TILE * len(HEADINGS), 20 + (TILE * len(items)) + 20), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for column, heading in enumerate(HEADINGS):
        pen.text((column * TILE + 4, 3), heading if column else f"{heading}, {title}", fill="white", font=font)
    device = next(network.parameters()).device
    with torch.no_grad():
        for row, item in enumerate(items):
            image, mask = (_middle(torch.as_tensor(item[key]), network.config.size) for key in ("image", "mask"))
            output = network.forward_with_features(image[None].float().to(device))
            finest = output.boundaries[-1].float() if output.boundaries else output.logits.new_zeros(1, 1, 1, 1)
            boundary = F.interpolate(finest, image.shape[-2:], mode="bilinear")[0, 0]
            picture = _rgb(image)
            labels = labels_from_logits(output.logits)[0, 0].cpu().numpy()
            truth = mask[0].cpu().numpy()
            tiles = (
                picture,
                _drawn(picture, truth, network.config.classes),
                _drawn(picture, labels, network.config.classes),
                np.repeat((boundary.cpu().numpy()[..., None] * 255).astype(np.uint8), 3, axis=2),
            )
            for column, tile in enumerate(tiles):
                resized = Image.fromarray(tile).resize((TILE, TILE))
                sheet.paste(resized, (column * TILE, 20 + row * TILE))
    pen.text((4, sheet.height - 17), NOTICE, fill="white", font=font)
    network.train(training)
    return sheet


def _middle(values: torch.Tensor, size: int) -> torch.Tensor:
    top, left = ((length - size) // 2 for length in values.shape[-2:])
    return values[..., max(top, 0) : max(top, 0) + size, max(left, 0) : max(left, 0) + size]


def _rgb(image: torch.Tensor) -> NDArray[np.uint8]:
    planes = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return np.repeat(planes, 3 // planes.shape[0], axis=0).transpose(1, 2, 0)


def _drawn(picture: NDArray[np.uint8], labels: NDArray[Any], classes: int) -> NDArray[np.uint8]:
    from s2m_edge.imaging.overlay import paint

    return paint(picture, labels, default_classes(classes))

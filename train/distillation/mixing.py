"""Pictures made of two: new ones for a teacher to answer, whose labels are known wherever those of both are."""

from __future__ import annotations

import torch
from torch import Tensor


def mix_pictures(image: Tensor, mask: Tensor, labelled: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """CutMix (Yun et al., ICCV 2019): a rectangle of each picture is replaced by that of the batch's next.

    Its sides are drawn from 1/4 to 3/4 of the picture's, the same for the whole batch, from torch's global generator.

    Args:
        image: B x C x H x W; mask: B x 1 x H x W of labels.
        labelled: B of bool, or None where all are; a mix is labelled where both of its pictures are.
    """
    height, width = image.shape[-2:]
    rows, columns = (int(side * float(torch.empty(()).uniform_(0.25, 0.75))) for side in (height, width))
    top, left = (int(torch.randint(0, limit + 1, ())) for limit in (height - rows, width - columns))
    place = (..., slice(top, top + rows), slice(left, left + columns))
    mixed, labels = image.clone(), mask.clone()
    mixed[place], labels[place] = image.roll(1, dims=0)[place], mask.roll(1, dims=0)[place]
    return mixed, labels, None if labelled is None else labelled & labelled.roll(1, dims=0)

"""A PNG writer for the kinds that libraries do not write: every depth, colour type and filter, interlaced or not."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, and their steps."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """A whole chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def encode_png(
    values: NDArray[np.integer],
    colour: int,
    depth: int = 8,
    *,
    interlaced: bool = False,
    before: Sequence[tuple[bytes, bytes]] = (),
    after: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG of samples H x W x C (C of the colour type), each below 2 ** depth.

    Args:
        before, after: further chunks in front of the pixels and behind them.
    """
    height, width = values.shape[:2]
    samples = values.reshape(height, width, CHANNELS[colour])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [samples]
    lines = b"".join(_filtered(part, depth) for part in parts if part.size)
    pixels = (b"IDAT", zlib.compress(lines, 9))
    chunks = [(b"IHDR", header), *before, pixels, *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in chunks)


def compressed_lines(content: bytes) -> bytes:
    """What lies in the IDAT chunk of a PNG that `encode_png` wrote."""
    at = content.index(b"IDAT")
    return content[at + 4 : at + 4 + struct.unpack(">I", content[at - 4 : at])[0]]


def _filtered(samples: NDArray[np.integer], depth: int) -> bytes:
    """Rows behind their filters, which take turns: 0 none, 1 left, 2 above, 3 mean of both, 4 Paeth."""
    channels = samples.shape[2]
    step = max(1, channels * depth // 8)
    above = np.zeros(_packed(samples[0], depth).size, np.int64)
    lines = []
    for index, row in enumerate(samples):
        line = _packed(row, depth).astype(np.int64)
        left, corner = (np.concatenate([np.zeros(step, np.int64), part[:-step]]) for part in (line, above))
        kind = index % 5
        predicted = (np.zeros_like(line), left, above, (left + above) // 2, _paeth(left, above, corner))[kind]
        lines.append(bytes([kind]) + ((line - predicted) % 256).astype(np.uint8).tobytes())
        above = line
    return b"".join(lines)


def _packed(row: NDArray[np.integer], depth: int) -> NDArray[np.uint8]:
    """The bytes of one row W x C: the first sample in the highest bits."""
    if depth == 16:
        return np.frombuffer(row.astype(">u2").tobytes(), np.uint8)
    flat = row.ravel().astype(np.uint8)
    if depth == 8:
        return flat
    bits = np.unpackbits(flat[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.ravel())


def _paeth(left: NDArray[np.int64], above: NDArray[np.int64], corner: NDArray[np.int64]) -> NDArray[np.int64]:
    estimate = left + above - corner
    distances = np.abs(np.stack([left, above, corner]) - estimate)
    return np.stack([left, above, corner])[distances.argmin(axis=0), np.arange(left.size)]

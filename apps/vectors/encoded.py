"""Encoded pictures: one small file for every way in which decoders of pictures differ, with its right pixels."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2m_edge.apps.vectors.pictures import smooth_field
from s2m_edge.apps.vectors.png import GREY, GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, compressed_lines, encode_png
from s2m_edge.apps.vectors.profile import wide_profile
from s2m_edge.files import write_bytes
from s2m_edge.imaging.intensity import Intensity, spread
from s2m_edge.notice import NOTICE

FOLDER = "pictures"
INDEX_FILE = "index.json"
PIXELS_FILE = "pixels.safetensors"
HEIGHT, WIDTH = 16, 24
ORIENTATION = 0x0112
NOT_FOR_RUNNER = {"runner": "format"}
DEFAULT = Intensity()
DEEP = {"android": "deep", "ios": "deep"}
TRANSPARENT = {"android": "transparent", "ios": "transparent"}
JPEG_LEVELS = 3
"""How far decoders of JPEG may lie apart at one pixel; those of the apps are 2 apart here."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Encoded:
    """One file.

    Attributes:
        name: of the case and its pixels.
        file: its name, by which its kind goes too.
        why: what it is there to catch.
        content: of the file.
        pixels: what every app has to see, RGB H x W x 3, upright.
        tolerance: levels by which a value may differ.
        refused: which app does not open it, and the reason that it gives.
        intensity: of the network that looks at it; another than the default one only for deep files.
    """

    name: str
    file: str
    why: str
    content: bytes
    pixels: Pixels
    tolerance: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    intensity: Intensity = DEFAULT


def encoded_pictures() -> list[Encoded]:
    """All of them."""
    return [*_orientations(), *_pngs(), *_deep(), *_jpegs(), *_bitmaps(), *_animations()]


def write_encoded(folder: Path) -> None:
    """Write the files, their right pixels and the index anew."""
    from safetensors.numpy import save

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cases = encoded_pictures()
    for case in cases:
        write_bytes(folder / case.file, case.content)
    content = save({case.name: np.ascontiguousarray(case.pixels) for case in cases}, metadata={"notice": NOTICE})
    write_bytes(folder / PIXELS_FILE, content)
    index = {
        "notice": NOTICE,
        "pixels": {"file": PIXELS_FILE, "sha256": hashlib.sha256(content).hexdigest()},
        "cases": [index_entry(case) for case in cases],
    }
    write_bytes(folder / INDEX_FILE, (json.dumps(index, indent=1) + "\n").encode())


def index_entry(case: Encoded) -> dict[str, Any]:
    """What the index says of one file."""
    height, width = case.pixels.shape[:2]
    return {
        "name": case.name,
        "file": case.file,
        "why": case.why,
        "height": height,
        "width": width,
        "tolerance": case.tolerance,
        "refused": dict(case.refused),
        "intensity": case.intensity.to_dict(),
    }


def picture(seed: int = 7) -> Pixels:
    """Soft colours, of which no two corners are alike, RGB."""
    values = smooth_field(np.random.default_rng(seed), 3, HEIGHT, WIDTH, 255)
    return np.ascontiguousarray(values.transpose(1, 2, 0).astype(np.uint8))


def _grey() -> Pixels:
    return picture()[..., 1].copy()


def _as_rgb(grey: NDArray[np.integer]) -> Pixels:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _stored(upright: Pixels, orientation: int) -> Pixels:
    """How a camera that is held so stores what is seen upright."""
    turns = {
        1: lambda seen: seen,
        2: lambda seen: seen[:, ::-1],
        3: lambda seen: seen[::-1, ::-1],
        4: lambda seen: seen[::-1],
        5: lambda seen: seen.transpose(1, 0, 2),
        6: lambda seen: np.rot90(seen, 1),
        7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),
        8: lambda seen: np.rot90(seen, -1),
    }
    return np.ascontiguousarray(turns[orientation](upright))


def _exif(orientation: int) -> bytes:
    """A TIFF structure with the one tag."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, ORIENTATION, 3, 1, orientation, 0, 0)


def _saved(pixels: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    made = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    into = io.BytesIO()
    made.save(into, kind, **options)
    return into.getvalue()


def _opened(content: bytes) -> Pixels:
    """The first frame as Pillow decodes it; turned by hand by those who call."""
    with Image.open(io.BytesIO(content)) as opened:
        return np.array(opened.convert("RGB"))


def _orientations() -> list[Encoded]:
    found = []
    for orientation in range(1, 9):
        stored = _stored(picture(), orientation)
        png = encode_png(stored, RGB, before=[(b"eXIf", _exif(orientation))])
        jpeg = _saved(stored, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0" + _exif(orientation))
        why = f"EXIF orientation {orientation}"
        found.append(Encoded(f"exif-{orientation}-png", f"exif-{orientation}.png", f"{why}, in a PNG", png, picture()))
        seen = _upright(_opened(jpeg), orientation)
        found.append(Encoded(f"exif-{orientation}-jpeg", f"exif-{orientation}.jpg", why, jpeg, seen, JPEG_LEVELS))
    stored = _stored(picture(), 6)
    webp = _saved(stored, "WEBP", lossless=True, exact=True, exif=b"Exif\0\0" + _exif(6))
    return [*found, Encoded("exif-webp", "exif-6.webp", "in a WebP", webp, picture(), refused=NOT_FOR_RUNNER)]


def _upright(stored: Pixels, orientation: int) -> Pixels:
    """The other way round: 6 and 8 undo each other, the rest themselves."""
    return _stored(stored, {6: 8, 8: 6}.get(orientation, orientation))


def _pngs() -> list[Encoded]:
    colour, grey = picture(), _grey()
    half = (np.indices(grey.shape).sum(axis=0) % 4 * 85).astype(np.uint8)  # alpha from nothing to all
    palette = np.random.default_rng(3).integers(0, 256, (64, 3), dtype=np.uint8)
    chosen = (grey // 4).astype(np.uint8)
    two = np.array([[200, 30, 60], [20, 90, 220]], np.uint8)
    dark = (grey > 110).astype(np.uint8)
    key = colour[3, 5]
    fourth = grey // 64
    frames = [(b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", _frame_control(0))]
    second = compressed_lines(encode_png(255 - colour, RGB))
    rest = [(b"fcTL", _frame_control(1)), (b"fdAT", struct.pack(">I", 2) + second)]
    profile = b"wide\0\0" + zlib.compress(wide_profile(), 9)
    paletted = [(b"PLTE", palette.tobytes()), (b"tRNS", bytes(range(64)))]
    rows = [
        ("rgb", "plain colour, all five filters", encode_png(colour, RGB), colour, {}),
        ("grey", "plain grey", encode_png(grey, GREY), _as_rgb(grey), {}),
        ("grey-2", "grey of four levels", encode_png(fourth, GREY, 2), _as_rgb(fourth * 85), {}),
        ("grey-4", "grey of sixteen levels", encode_png(grey // 16, GREY, 4), _as_rgb(grey // 16 * 17), {}),
        ("bilevel", "black and white: 255, not 1", encode_png(dark, GREY, 1), _as_rgb(dark * 255), {}),
        ("palette-2", "two colours", encode_png(dark, PALETTE, 1, before=[(b"PLTE", two.tobytes())]), two[dark], {}),
        ("palette", "64 colours", encode_png(chosen, PALETTE, before=paletted[:1]), palette[chosen], {}),
        (
            "palette-alpha",
            "a palette with transparent entries: their colours count",
            encode_png(chosen, PALETTE, before=paletted),
            palette[chosen],
            TRANSPARENT,
        ),
        (
            "grey-alpha",
            "transparent grey: dropped, not multiplied in",
            encode_png(np.dstack([grey, half]), GREY_ALPHA),
            _as_rgb(grey),
            TRANSPARENT,
        ),
        (
            "rgba",
            "transparent colour: dropped, not multiplied in",
            encode_png(np.dstack([colour, half]), RGB_ALPHA),
            colour,
            TRANSPARENT,
        ),
        (
            "key",
            "one colour is called transparent (tRNS)",
            encode_png(colour, RGB, before=[(b"tRNS", key.astype(">u2").tobytes())]),
            colour,
            TRANSPARENT,
        ),
        ("interlaced", "Adam7", encode_png(colour, RGB, interlaced=True), colour, {}),
        (
            "interlaced-bilevel",
            "Adam7 of single bits",
            encode_png(dark, GREY, 1, interlaced=True),
            _as_rgb(dark * 255),
            {},
        ),
        (
            "gamma",
            "a gAMA chunk, which is not applied",
            encode_png(colour, RGB, before=[(b"gAMA", struct.pack(">I", 100000))]),
            colour,
            {},
        ),
        (
            "profile",
            "a profile of wide colours, which is not applied",
            encode_png(colour, RGB, before=[(b"iCCP", profile)]),
            colour,
            {},
        ),
        (
            "animated",
            "the first frame of an animated PNG",
            encode_png(colour, RGB, before=frames, after=rest),
            colour,
            {},
        ),
    ]
    return [Encoded(f"png-{name}", f"{name}.png", *row, refused=refused) for name, *row, refused in rows]


def _frame_control(number: int) -> bytes:
    return struct.pack(">IIIIIHHBB", number, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)


def _deep() -> list[Encoded]:
    """16 bits a value, of which a decoder to 8 bits keeps the high byte."""
    generator = np.random.default_rng(11)
    twelve = smooth_field(generator, 1, HEIGHT, WIDTH, 4095)[0].astype(np.uint16)
    colour = (smooth_field(generator, 3, HEIGHT, WIDTH, 30000).transpose(1, 2, 0) + 9000).astype(np.uint16)
    alpha = smooth_field(generator, 1, HEIGHT, WIDTH, 65535)[0].astype(np.uint16)
    flat = np.full((HEIGHT, WIDTH), 700, np.uint16)
    cut, window = Intensity(low=1, high=99), Intensity("window", 500, 2500)
    rows = [
        ("grey", "12 bits in 16", encode_png(twelve, GREY, 16), twelve, Intensity()),
        ("percentiles", "under another rule", encode_png(twelve, GREY, 16), twelve, cut),
        ("window", "under a window", encode_png(twelve, GREY, 16), twelve, window),
        ("rgb", "three channels, one stretch", encode_png(colour, RGB, 16), colour, Intensity()),
        ("rgb-percentiles", "percentiles of all channels", encode_png(colour, RGB, 16), colour, cut),
        ("grey-alpha", "alpha is dropped", encode_png(np.dstack([twelve, alpha]), GREY_ALPHA, 16), twelve, Intensity()),
        ("rgba", "alpha is dropped", encode_png(np.dstack([colour, alpha]), RGB_ALPHA, 16), colour, Intensity()),
        ("interlaced", "Adam7", encode_png(colour, RGB, 16, interlaced=True), colour, Intensity()),
        ("flat", "nothing between the ends: black", encode_png(flat, GREY, 16), flat, Intensity()),
        (
            "exif",
            "stored on its side",
            encode_png(np.rot90(colour), RGB, 16, before=[(b"eXIf", _exif(6))]),
            colour,
            Intensity(),
        ),
    ]
    found = []
    for name, why, content, values, intensity in rows:
        levels = spread(values, intensity)
        pixels = levels if levels.ndim == 3 else _as_rgb(levels)
        file = f"deep-{name}.png"
        found.append(Encoded(f"deep-{name}", file, why, content, pixels, refused=DEEP, intensity=intensity))
    return found


def _jpegs() -> list[Encoded]:
    colour = picture()
    cmyk = Image.fromarray(colour).convert("CMYK")
    rows = [
        ("plain", "4:4:4", _saved(colour, "JPEG", quality=95, subsampling=0)),
        ("halved", "4:2:0: the colours at half the size", _saved(colour, "JPEG", quality=95, subsampling=2)),
        ("progressive", "progressive", _saved(colour, "JPEG", quality=95, subsampling=0, progressive=True)),
        ("grey", "grey", _saved(_grey(), "JPEG", quality=95)),
        ("cmyk", "four colours, stored inverted, as Adobe does", _saved(cmyk, "JPEG", quality=100, subsampling=0)),
        (
            "profile",
            "a profile of wide colours, which is not applied",
            _saved(colour, "JPEG", quality=95, subsampling=0, icc_profile=wide_profile()),
        ),
    ]
    return [
        Encoded(f"jpeg-{name}", f"{name}.jpg", why, content, _opened(content), JPEG_LEVELS)
        for name, why, content in rows
    ]


def _bitmaps() -> list[Encoded]:
    colour = picture()
    paletted = Image.fromarray(colour).quantize(48)
    shown = np.array(paletted.convert("RGB"))
    fourth = np.dstack([colour, _grey()])  # a byte that no header calls alpha
    pages = [Image.fromarray(shade) for shade in (255 - colour, colour, colour // 2)]
    tiff = _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    return [
        Encoded("bmp-24", "24.bmp", "24 bits, from the bottom", _saved(colour, "BMP"), colour),
        Encoded("bmp-32", "32.bmp", "a fourth byte that means nothing", _saved(fourth, "BMP"), colour),
        Encoded("bmp-palette", "palette.bmp", "a palette", _saved(paletted, "BMP"), shown),
        Encoded(
            "tiff-pages",
            "pages.tif",
            "the middle one of three pages",
            tiff,
            colour,
            refused={"page": "tiff", "runner": "format", "android": "tiff", "ios": "tiff"},
        ),
    ]


def _animations() -> list[Encoded]:
    colour = picture()
    paletted, other = (Image.fromarray(values).quantize(48) for values in (colour, 255 - colour))
    shown = np.array(paletted.convert("RGB"))
    several = {"save_all": True, "duration": 100, "loop": 0}
    clear = int(np.asarray(paletted)[3, 5])
    alpha = np.dstack([colour, np.where(_grey() > 110, 255, 90).astype(np.uint8)])
    lossless = {"lossless": True, "exact": True}
    second = Image.fromarray(255 - colour)
    moving = _saved(paletted, "GIF", append_images=[other], **several)
    webp = _saved(Image.fromarray(colour), "WEBP", append_images=[second], **several, **lossless)
    hidden = NOT_FOR_RUNNER | TRANSPARENT | {"page": "transparent"}
    rows: list[tuple[str, str, bytes, Pixels, Mapping[str, str]]] = [
        ("still.gif", "one frame", _saved(paletted, "GIF"), shown, NOT_FOR_RUNNER),
        (
            "moving.gif",
            "the first frame",
            moving,
            shown,
            NOT_FOR_RUNNER,
        ),
        ("clear.gif", "a transparent colour", _saved(paletted, "GIF", transparency=clear), shown, hidden),
        ("still.webp", "one frame, lossless", _saved(colour, "WEBP", **lossless), colour, NOT_FOR_RUNNER),
        ("moving.webp", "the first frame", webp, colour, NOT_FOR_RUNNER),
        ("clear.webp", "transparent parts", _saved(alpha, "WEBP", **lossless), colour, hidden),
    ]
    return [
        Encoded(file.replace(".", "-"), file, why, content, pixels, refused=refused)
        for file, why, content, pixels, refused in rows
    ]

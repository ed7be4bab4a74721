"""PNG, TIFF, PNM and the like: upright, deep ones by one rule, the page that the help names."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.limits import MOST_PIXELS, allow_pixels
from s2m_edge.imaging.picture import upright
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.slices import slices_of

Y, X = np.mgrid[:20, :30]
RAMP = (Y * 5 + X * 2).astype(np.uint8)
DEEP = (Y * 150 + X * 40).astype(np.uint16)  # twelve bits in sixteen
COLOURS = np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1] // 2]).astype(np.uint16)


def by_range(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.floor((values.astype(float) - low) * 255.0 / (high - low) + 0.5).astype(np.uint8)


def write(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(values))
    else:
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_of_grey_and_of_colour_follow_one_rule(tmp_path: Path, suffix: str):
    assert np.array_equal(read_image(write(tmp_path / f"grey{suffix}", DEEP))[..., 0], by_range(DEEP))
    assert np.array_equal(read_image(write(tmp_path / f"colour{suffix}", COLOURS)), by_range(COLOURS))
    alpha = np.dstack([COLOURS, np.full_like(DEEP, 65535)])
    assert np.array_equal(read_image(write(tmp_path / f"alpha{suffix}", alpha)), by_range(COLOURS)), "alpha counts not"


def test_the_networks_window_is_used_for_deep_pictures_and_not_for_others(tmp_path: Path):
    rule = Intensity("window", 0.0, 2550.0)
    found = read_image(write(tmp_path / "deep.png", DEEP), intensity=rule)[..., 0]
    assert np.array_equal(found, np.floor(np.clip(DEEP / 10.0, 0, 255) + 0.5))
    Image.fromarray(RAMP).save(tmp_path / "eight.png")
    assert np.array_equal(read_image(tmp_path / "eight.png", intensity=rule)[..., 0], RAMP)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int32, np.uint32, np.int8])
def test_tiff_of_any_type_is_read(tmp_path: Path, dtype: type):
    values = (DEEP // 64).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", values)
    assert np.array_equal(read_image(tmp_path / "x.tif")[..., 0], by_range(values))


@pytest.mark.parametrize("values", [RAMP, DEEP], ids=["8 bits", "16 bits"])
def test_min_is_white_is_turned_round(tmp_path: Path, values: np.ndarray):
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="miniswhite")
    expected = 255 - RAMP if values is RAMP else 255 - by_range(DEEP)
    assert np.abs(read_image(tmp_path / "x.tif")[..., 0].astype(int) - expected).max() <= (values is DEEP)


def test_planes_one_after_the_other_are_colours(tmp_path: Path):
    tifffile.imwrite(tmp_path / "x.tif", np.moveaxis(COLOURS, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "x.tif"), by_range(COLOURS))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits"])
def test_compressed_deep_tiff_is_read(tmp_path: Path, compression: str):
    tifffile.imwrite(tmp_path / "x.tif", DEEP, compression=compression)
    assert np.array_equal(read_image(tmp_path / "x.tif")[..., 0], by_range(DEEP))


def test_the_middle_page_of_a_stack_and_the_first_frame_of_an_animation_are_taken(tmp_path: Path):
    pages = [Image.fromarray(np.full((20, 30), value, np.uint8)) for value in (10, 20, 30, 40, 50)]
    for name in ("stack.tif", "animation.gif", "animation.webp", "animation.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        expected, index = (30, 2) if name == "stack.tif" else (10, 0)
        assert abs(int(read_image(tmp_path / name).mean()) - expected) <= 1, name
        assert slices_of(tmp_path / name) == (5, index), name
        assert abs(int(read_image(tmp_path / name, 4).mean()) - 50) <= 1, name
        with pytest.raises(ImageError, match="no slice 5"):
            read_image(tmp_path / name, 5)


def test_pages_of_sixteen_bits_are_pages_too(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "x.tif",
        np.stack([DEEP, DEEP.T[:20, :20].repeat(2, axis=1)[:, :30], DEEP[::-1]]),
        photometric="minisblack",
    )
    assert np.array_equal(read_image(tmp_path / "x.tif", 2)[..., 0], by_range(DEEP[::-1]))


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_brought_upright_as_pillow_does(tmp_path: Path, turn: int):
    from PIL import ImageOps

    picture = Image.fromarray(RAMP)
    exif = picture.getexif()
    exif[0x0112] = turn
    picture.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as stored:
        assert np.array_equal(upright(RAMP, turn), np.asarray(ImageOps.exif_transpose(stored)))
    assert np.array_equal(read_image(tmp_path / "x.png")[..., 0], upright(RAMP, turn))


def test_a_deep_picture_is_turned_as_well(tmp_path: Path):
    tifffile.imwrite(tmp_path / "x.tif", DEEP, extratags=[(274, "H", 1, 6, True)])
    assert np.array_equal(read_image(tmp_path / "x.tif")[..., 0], by_range(np.rot90(DEEP, -1)))


@pytest.mark.parametrize("turn", range(1, 9))
def test_tiff_of_eight_bits_is_turned_once(tmp_path: Path, turn: int):
    tifffile.imwrite(tmp_path / "x.tif", RAMP, extratags=[(274, "H", 1, turn, True)])
    assert np.array_equal(read_image(tmp_path / "x.tif")[..., 0], upright(RAMP, turn))


@pytest.mark.parametrize("greys", [2, 16])
def test_bitmaps_with_a_palette_of_greys_show_them(tmp_path: Path, greys: int):
    indices = (X % greys).astype(np.uint8)
    picture = Image.fromarray(indices, mode="P")
    shown = np.linspace(0, 255, greys).round().astype(np.uint8)
    picture.putpalette(shown.repeat(3).tolist())
    picture.save(tmp_path / "x.bmp")
    assert np.array_equal(read_image(tmp_path / "x.bmp")[..., 0], shown[indices])


@pytest.mark.parametrize(("magic", "values"), [("P5", DEEP), ("P6", COLOURS)])
def test_portable_maps_of_more_than_a_byte(tmp_path: Path, magic: str, values: np.ndarray):
    head = f"{magic}\n# a comment\n30 20\n# another\n4095\n".encode()
    (tmp_path / "x.ppm").write_bytes(head + values.astype(">u2").tobytes())
    found = read_image(tmp_path / "x.ppm")
    assert np.array_equal(found if values is COLOURS else found[..., 0], by_range(values))
    (tmp_path / "x.ppm").write_bytes(head + values.astype(">u2").tobytes()[:-1])
    with pytest.raises(ImageError, match="cut off"):
        read_image(tmp_path / "x.ppm")


def test_a_picture_beyond_the_limit_is_too_large_and_not_corrupt(tmp_path: Path):
    Image.new("1", (18000, 10000)).save(tmp_path / "x.png")
    with pytest.raises(ImageError, match=r"too large: 18000 x 10000 .*--max-pixels 180000000"):
        read_image(tmp_path / "x.png")
    allow_pixels(10_000)
    try:
        Image.fromarray(RAMP).save(tmp_path / "small.png")
        assert read_image(tmp_path / "small.png").shape == (20, 30, 3)
        Image.new("L", (200, 100)).save(tmp_path / "x.png")
        with pytest.raises(ImageError, match="too large"):
            read_image(tmp_path / "x.png")
    finally:
        allow_pixels(MOST_PIXELS)


@pytest.mark.parametrize("claims", [{"ImageWidth": 80_000, "ImageLength": 60_000}, {"SamplesPerPixel": 60_000}])
def test_a_tiff_that_claims_a_size_takes_no_memory(tmp_path: Path, claims: dict[str, int]):
    tifffile.imwrite(tmp_path / "x.tif", DEEP)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+") as file:
        for name, value in claims.items():
            file.pages[0].tags[name].overwrite(value)  # type: ignore[union-attr]
    with pytest.raises(ImageError):
        read_image(tmp_path / "x.tif")

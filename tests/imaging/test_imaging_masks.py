"""A mask file is read by what it shows, or refused with the reason: never as its complement, all or nothing."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.imaging import limits
from s2m_edge.imaging.masks import orientation, read_mask

MASK = np.zeros((40, 64), np.uint8)
MASK[8:24, 10:50] = 255
WHITE_FIRST = [255, 255, 255, 0, 0, 0]


def palette(indices: np.ndarray, colours: list[int]) -> Image.Image:
    picture = Image.fromarray(indices.astype(np.uint8), "P")
    picture.putpalette(colours)
    return picture


def save_png16(path: Path, values: np.ndarray, kind: int) -> None:
    """A PNG of 16 bits a channel; Pillow writes none in colours."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".gif"])
@pytest.mark.parametrize(
    ("first", "second"), [((255, 255, 255), (0, 0, 0)), ((0, 0, 0), (255, 255, 255)), ((240, 240, 240), (9, 9, 9))]
)
def test_a_palette_of_two_tones_is_read_by_what_it_shows(
    tmp_path: Path, suffix: str, first: tuple[int, ...], second: tuple[int, ...]
):
    path = tmp_path / f"mask{suffix}"
    bright_is_0 = first[0] > second[0]
    palette((MASK == 0) if bright_is_0 else (MASK > 0), [*first, *second]).save(path)
    found = read_mask(path)
    np.testing.assert_array_equal(found > 127, MASK > 0)
    assert set(np.unique(found)) == {first[0], second[0]}


@pytest.mark.parametrize("bits", [4, 8])
def test_a_bitmap_of_black_and_white_in_more_than_a_bit_is_whole(tmp_path: Path, bits: int):
    """Pillow takes it for one of 1 bit."""
    indices = (MASK > 0).astype(np.uint8)[::-1]
    data = (indices if bits == 8 else indices[:, ::2] * 16 + indices[:, 1::2]).tobytes()
    head = struct.pack("<2sIHHI", b"BM", 62 + len(data), 0, 0, 62)
    head += struct.pack("<IiiHHIIiiII", 40, 64, 40, 1, bits, 0, len(data), 0, 0, 2, 2)
    (tmp_path / "mask.bmp").write_bytes(head + b"\0\0\0\0\xff\xff\xff\0" + data)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.bmp"), MASK)


def test_an_empty_mask_of_a_white_first_palette_is_empty(tmp_path: Path):
    palette(np.ones((9, 9)), WHITE_FIRST).save(tmp_path / "empty.png")
    assert not read_mask(tmp_path / "empty.png").any()


def test_unused_entries_and_entries_of_one_colour_do_not_count(tmp_path: Path):
    colours = [255, 0, 0, *WHITE_FIRST, 0, 0, 0, 0, 255, 0]  # 0 and 4 unused; 2 and 3 both black
    indices = np.where(MASK > 0, 1, np.arange(64) % 2 + 2)
    palette(indices, colours).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), MASK)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_a_palette_of_colours_holds_its_numbers(tmp_path: Path, suffix: str):
    labels = np.zeros((40, 64), np.uint8)
    labels[:9], labels[9:20], labels[20:30] = 1, 2, 3
    palette(labels, [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]).save(tmp_path / f"labels{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"labels{suffix}"), labels)


def test_one_label_of_a_palette_of_colours_keeps_its_number(tmp_path: Path):
    """Another image of the same data set shows another one."""
    palette((MASK > 0) * 2, [0, 0, 0, 128, 0, 0, 0, 128, 0]).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "labels.png"), (MASK > 0) * 2)


def test_black_beside_a_colour_is_background_whatever_its_number(tmp_path: Path):
    palette(MASK == 0, [255, 0, 0, 0, 0, 0]).save(tmp_path / "red.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "red.png"), MASK)


def test_a_grey_picture_with_a_palette_turned_round_is_read_by_what_it_shows(tmp_path: Path):
    grey = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (40, 1))
    palette(255 - grey, [255 - entry // 3 for entry in range(768)]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "grey.png"), grey)


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_min_is_white_tiff_is_read_by_what_it_shows(tmp_path: Path, photometric: str, dtype: type):
    full = np.iinfo(dtype).max
    shown = (MASK > 0) if photometric == "minisblack" else (MASK == 0)
    tifffile.imwrite(tmp_path / "mask.tif", (shown * full).astype(dtype), photometric=photometric)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif"), MASK)


@pytest.mark.parametrize("photometric", [0, 1])
def test_one_bit_is_0_and_255(tmp_path: Path, photometric: int):
    for suffix in (".png", ".tif", ".bmp", ".gif"):
        options: dict[str, Any] = {"tiffinfo": {262: photometric}} if suffix == ".tif" else {}
        Image.fromarray(MASK).convert("1").save(tmp_path / f"mask{suffix}", **options)
        np.testing.assert_array_equal(read_mask(tmp_path / f"mask{suffix}"), MASK)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (0, 200, 0)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_the_alpha_is_the_mask_where_the_colour_is_one(tmp_path: Path, colour: tuple[int, ...], suffix: str):
    pixels = np.dstack([*(np.full_like(MASK, value) for value in colour), MASK])
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    Image.fromarray(pixels, "RGBA").save(tmp_path / f"mask{suffix}", **options)
    np.testing.assert_array_equal(read_mask(tmp_path / f"mask{suffix}"), MASK)


def test_the_alpha_of_grey_and_of_a_palette_is_the_mask_too(tmp_path: Path):
    Image.fromarray(np.dstack([np.zeros_like(MASK), MASK]), "LA").save(tmp_path / "la.png")
    palette(MASK > 0, [9, 9, 9, 9, 9, 9]).save(tmp_path / "p.png", transparency=b"\x00\xff")
    for name in ("la.png", "p.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), MASK)


def test_colour_counts_where_the_alpha_agrees_or_says_nothing(tmp_path: Path):
    for name, alpha in (
        ("cut.png", MASK),
        ("opaque.png", np.full_like(MASK, 255)),
        ("veil.png", np.full_like(MASK, 90)),
    ):
        Image.fromarray(np.dstack([MASK, MASK, MASK, alpha]), "RGBA").save(tmp_path / name)
        np.testing.assert_array_equal(read_mask(tmp_path / name), MASK)


def test_colour_and_alpha_that_contradict_each_other_are_refused(tmp_path: Path):
    paper = 255 - MASK  # the object in black on paper that is transparent
    Image.fromarray(np.dstack([paper, paper, paper, MASK]), "RGBA").save(tmp_path / "mask.png")
    with pytest.raises(ImageError, match=r"transparent where .* Save it without transparency"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_channels_that_are_alike_are_a_grey(tmp_path: Path, suffix: str):
    Image.fromarray(np.repeat(MASK[..., None], 3, 2)).save(tmp_path / f"mask{suffix}")
    found = read_mask(tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(found > 127, MASK > 0)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_channels_that_differ_are_an_error_with_colours_and_remedy(tmp_path: Path, suffix: str):
    green = np.dstack([np.zeros_like(MASK), MASK, np.zeros_like(MASK)])
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(green).save(path, quality=95)
    with pytest.raises(ImageError, match=r"in colours \(#000000, #00ff0[01]\)") as caught:
        read_mask(path)
    assert '--labels "#00ff0' in caught.value.remedy
    np.testing.assert_array_equal(read_mask(path, colours=[(0x00FF00, 7)]), (MASK > 0) * 7)


def test_colours_become_the_labels_that_are_named_for_them(tmp_path: Path):
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:10], pixels[10:20], pixels[20:30] = (255, 0, 0), (0, 0, 255), (255, 255, 255)
    wanted = np.zeros((40, 64), np.uint8)
    wanted[:10], wanted[10:20] = 1, 2
    colours = [(0xFF0000, 1), (0x0000FF, 2), (0xFFFFFF, 0)]
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    Image.fromarray(pixels).quantize(8).save(tmp_path / "palette.png")
    for name in ("rgb.png", "palette.png"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, colours=colours), wanted)
    with pytest.raises(ImageError, match=r"does not name \(#ffffff\)"):
        read_mask(tmp_path / "rgb.png", colours=colours[:2])


def test_what_is_transparent_is_background_whatever_its_colour(tmp_path: Path):
    green = np.dstack([np.zeros_like(MASK), np.full_like(MASK, 255), np.zeros_like(MASK), MASK])
    Image.fromarray(green, "RGBA").save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", colours=[(0x00FF00, 1)]), MASK > 0)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "big-endian.tif", "signed.tif", "float.tif"])
def test_deep_grey_keeps_whole_numbers(tmp_path: Path, name: str):
    labels = (np.arange(64, dtype=np.uint16)[None] // 16).repeat(40, 0) * 85
    if name == "mask.png":
        Image.fromarray(labels).save(tmp_path / name)
    else:
        dtype = {"signed.tif": np.int32, "float.tif": np.float32}.get(name, np.uint16)
        tifffile.imwrite(tmp_path / name, labels.astype(dtype), byteorder=">" if "big" in name else "<")
    np.testing.assert_array_equal(read_mask(tmp_path / name), labels)


def test_deep_grey_of_two_values_is_0_and_255(tmp_path: Path):
    Image.fromarray((MASK > 0).astype(np.uint16) * 65535).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), MASK)


@pytest.mark.parametrize("values", [[0, 256], [0, 1, 65535], [0, 40000]])
def test_other_deep_values_are_refused(tmp_path: Path, values: list[int]):
    Image.fromarray(np.resize(np.array(values, np.uint16), (9, 9))).save(tmp_path / "mask.png")
    with pytest.raises(ImageError, match=f"values from 0 to {max(values)}"):
        read_mask(tmp_path / "mask.png")
    tifffile.imwrite(tmp_path / "mask.tif", np.full((9, 9), 0.5, np.float32))
    with pytest.raises(ImageError, match="not whole"):
        read_mask(tmp_path / "mask.tif")


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_deep_colours_whose_low_bytes_would_be_lost_are_refused(tmp_path: Path, kind: int, channels: int):
    """A label 1 of 65535 would be 0 of 255: an empty mask."""
    values = np.full((9, 9, channels), 65535, np.uint16)
    values[2:5, 2:5, : channels - (channels % 2 == 0)] = 1
    save_png16(tmp_path / "mask.png", values, kind)
    with pytest.raises(ImageError, match="16 bits a channel"):
        read_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("name", ["mask.jpg", "mask.png", "mask.tif", "zipped.tif"])
def test_the_orientation_that_a_file_says_is_applied(tmp_path: Path, name: str, turn: int):
    """Against Pillow's own table, on a mask without symmetry."""
    method = Image.Transpose({2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[turn])
    mask = MASK.copy()
    mask[30:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = Image.fromarray(mask).transpose(method)
    options = {"mask.jpg": {"quality": 100}, "zipped.tif": {"compression": "tiff_deflate"}}
    stored.save(tmp_path / name, exif=exif, **options.get(name, {}))
    np.testing.assert_array_equal(read_mask(tmp_path / name) > 127, mask > 0)
    assert orientation(tmp_path / name) == (turn, (stored.height, stored.width))


def test_a_stack_gives_the_page_that_is_asked_for_or_its_middle_one(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "stack.tif",
        np.stack([np.full((9, 9), value, np.uint8) for value in (1, 2, 3)]),
        photometric="minisblack",
    )
    assert read_mask(tmp_path / "stack.tif").max() == 2
    assert read_mask(tmp_path / "stack.tif", 0).max() == 1
    with pytest.raises(ImageError, match="no slice 3"):
        read_mask(tmp_path / "stack.tif", 3)


def test_a_mask_beyond_the_limit_is_too_large_and_not_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.new("1", (14000, 13500)).save(tmp_path / "mask.png")  # more than Pillow itself would open, in 23 kB
    for read in (read_mask, orientation):
        with pytest.raises(ImageError, match=r"too large.*--max-pixels 189000000"):
            read(tmp_path / "mask.png")
    monkeypatch.setattr(limits, "_limit", type(limits._limit)(189000000))
    assert orientation(tmp_path / "mask.png") == (1, (13500, 14000))
    assert Image.MAX_IMAGE_PIXELS is not None, "Pillow's own limit is as it was for others"


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.dcm", "mask.gif"])
def test_garbage_and_nothing_get_one_line(tmp_path: Path, name: str):
    with pytest.raises(ImageError, match="there is no mask"):
        read_mask(tmp_path / name)
    for content in (b"", b"no mask at all, of whatever kind", b"\x89PNG\r\n\x1a\n" + b"\0" * 40):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=name) as caught:
            read_mask(tmp_path / name)
        assert "\n" not in str(caught.value)

"""Masks as people's tools write them: training and evaluation get the same truth, or everybody the same refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import Run as CommandLine
from s2m_edge.errors import ConfigurationError, ImageError
from s2m_edge.imaging import limits
from s2m_edge.targets.measure.evaluation.evaluate import read_truth, split_samples
from s2m_edge.train.data import check
from s2m_edge.train.data.check import DataReport, check_dataset
from s2m_edge.train.data.items import load_sample
from s2m_edge.train.data.layouts import load_dataset, load_training_data
from s2m_edge.train.data.sample import Labelling, parse_labelling
from s2m_edge.train.recipe import read_recipe
from s2m_edge.train.run import Run, begin_run, open_run
from support import assert_one_line_error

TRUTH = np.zeros((64, 64), np.uint8)
TRUTH[8:24, 10:50] = 1
RED, GREEN = 0xFF0000, 0x00FF00


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch):
    """--max-pixels holds for the process; not for the tests that come after."""
    monkeypatch.setattr(limits, "_limit", type(limits._limit)())


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def write_folder(root: Path, mask: Image.Image, name: str = "x.png", splits: str = "test", **options) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    picture().save(root / "images" / "x.png")
    mask.save(root / "masks" / name, **options)
    (root / "split.csv").write_text(f"stem,split\nx,{splits}\n")
    return root


def tagged(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def inverted_palette() -> Image.Image:
    mask = Image.fromarray(1 - TRUTH, "P")
    mask.putpalette([255, 255, 255, 0, 0, 0])
    return mask


def in_colour(*channels: int) -> Image.Image:
    return Image.fromarray(np.dstack([TRUTH * np.uint8(255 * channel) for channel in channels]))


def in_alpha() -> Image.Image:
    return Image.fromarray(np.dstack([*[np.full_like(TRUTH, 255)] * 3, TRUTH * 255]), "RGBA")


def kinds(report: DataReport) -> dict[str, tuple[str, ...]]:
    """Where the problems of each kind are."""
    found: dict[str, tuple[str, ...]] = {}
    for finding in report.findings:
        if finding.severity == "problem":
            found[finding.kind] = (*found.get(finding.kind, ()), *finding.where)
    return found


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (inverted_palette, "x.png"),
        (inverted_palette, "x.gif"),
        (inverted_palette, "x.bmp"),
        (in_alpha, "x.png"),
        (lambda: in_colour(1, 1, 1), "x.tif"),
        (lambda: Image.fromarray(TRUTH.astype(np.uint16) * 65535), "x.png"),
    ],
)
def test_the_truth_is_what_the_mask_shows(tmp_path: Path, make: Callable[[], Image.Image], name: str):
    folder = write_folder(tmp_path / "data", make(), name)
    (sample,) = split_samples(folder, "test")
    np.testing.assert_array_equal(read_truth(sample, 1, 64, 64), TRUTH)
    np.testing.assert_array_equal(load_sample(sample, 64, 3)["mask"][0].numpy(), TRUTH)
    report = check_dataset(folder)
    assert report.clean
    assert report.splits["test"].pixels == [64 * 64 - 640, 640]


def test_a_mask_in_colours_is_a_finding_and_an_error_until_they_are_named(tmp_path: Path):
    folder = write_folder(tmp_path / "data", in_colour(0, 1, 0))
    (where,) = kinds(check_dataset(folder))["unreadable"]
    for words in ("#000000, #00ff00", '--labels "#00ff00=1"'):
        assert words in where
    with pytest.raises(ImageError, match="in colours"):
        read_truth(split_samples(folder, "test")[0], 1, 64, 64)
    labelling = parse_labelling("#00ff00=1")
    (sample,) = split_samples(folder, "test", labelling=labelling)
    np.testing.assert_array_equal(read_truth(sample, 1, 64, 64), TRUTH)
    report = check_dataset(folder, labelling=labelling)
    assert report.clean
    assert report.splits["test"].pixels[1] == 640


def test_colours_are_classes_of_a_network_that_has_them(tmp_path: Path):
    folder = write_folder(tmp_path / "data", in_colour(1, 0, 0))
    picture(2).save(folder / "images" / "y.png")
    in_colour(0, 1, 0).save(folder / "masks" / "y.png")
    (folder / "split.csv").write_text("stem,split\nx,train\ny,val\n")
    labelling = parse_labelling("#00ff00=1, #ff0000=2")
    train, validation, _ = load_training_data(folder, labelling=labelling)
    for (sample,), label in ((train, 2), (validation, 1)):
        np.testing.assert_array_equal(load_sample(sample, 64, 3, 3)["mask"][0].numpy(), TRUTH * label)
    assert check_dataset(folder, classes=3, labelling=labelling).splits["train"].occurs == [1, 0, 1]
    assert "labels" in kinds(check_dataset(folder, classes=2, labelling=labelling))


def test_labels_say_what_values_stand_for_too(tmp_path: Path):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH * np.uint8(30)))
    (sample,) = split_samples(folder, "test", labelling=parse_labelling("30=1"))
    np.testing.assert_array_equal(read_truth(sample, 1, 64, 64), TRUTH)
    assert "labels" in kinds(check_dataset(folder, labelling=parse_labelling("10=1")))


def test_the_option_is_parsed_or_refused():
    assert parse_labelling(None) is None
    assert parse_labelling("#00FF00=1,#ff0000=2") == Labelling(colours=((GREEN, 1), (RED, 2)))
    assert parse_labelling("10=1, 20=2") == Labelling(((10, 1), (20, 2)))
    for wrong in ("", "#0f0=1", "green=1", "#00ff00", "300=1", "1=256", "#00ff00=1,#00ff00=2", "#00ff00=1,20=2", "0=1"):
        with pytest.raises(ConfigurationError, match="--labels"):
            parse_labelling(wrong)


@pytest.mark.parametrize("turn", [2, 3, 6, 8])
def test_image_and_mask_that_are_tagged_alike_lie_on_each_other(tmp_path: Path, turn: int):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH * np.uint8(255)), "x.jpg", exif=tagged(turn))
    picture().save(folder / "images" / "x.png", exif=tagged(turn))
    assert check_dataset(folder).clean
    shown = {2: TRUTH[:, ::-1], 3: TRUTH[::-1, ::-1], 6: np.rot90(TRUTH, -1), 8: np.rot90(TRUTH)}[turn]
    np.testing.assert_array_equal(read_truth(split_samples(folder, "test")[0], 1, 64, 64), shown)


@pytest.mark.parametrize("which", ["images", "masks"])
@pytest.mark.parametrize("turn", [3, 6])
def test_a_tag_on_one_of_them_alone_is_a_finding(tmp_path: Path, which: str, turn: int):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH * np.uint8(255)))
    with Image.open(folder / which / "x.png") as stored:
        stored.save(folder / which / "x.png", exif=tagged(turn))
    assert kinds(check_dataset(folder))["orientation"] == ("masks/x.png",)


def test_a_mask_of_the_upright_picture_is_no_finding(tmp_path: Path):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH[:40] * np.uint8(255)))
    picture().resize((40, 64)).save(folder / "images" / "x.png", exif=tagged(6))
    assert check_dataset(folder).clean
    Image.fromarray(TRUTH[:, :40] * np.uint8(255)).save(folder / "masks" / "x.png")  # of the stored raster
    assert set(kinds(check_dataset(folder))) == {"orientation", "size"}


def two_images(root: Path) -> None:
    picture(1).save(root / "images" / "x.jpg")


def two_masks(root: Path) -> None:
    Image.fromarray(TRUTH).save(root / "masks" / "x.tif")


def twice_in_the_table(root: Path) -> None:
    (root / "split.csv").write_text("stem,split\nx,train\nx,test\n")


def other_case_in_the_table(root: Path) -> None:
    (root / "split.csv").write_text("stem,split\nx,train\nX,train\n")


def other_case(root: Path) -> None:
    if (root / "IMAGES").exists():
        pytest.skip("this file system has no two names that differ in case alone")
    picture(1).save(root / "images" / "X.png")
    Image.fromarray(TRUTH).save(root / "masks" / "X.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (two_images, "images/x.jpg, images/x.png"),
        (two_masks, "masks/x.png, masks/x.tif"),
        (twice_in_the_table, "x, x"),
        (other_case_in_the_table, "x, X"),
        (other_case, "images/X.png, images/x.png"),
    ],
)
def test_a_stem_that_names_several_is_named_and_refused(tmp_path: Path, spoil: Callable[[Path], None], words: str):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH), splits="train")
    spoil(folder)
    assert words in kinds(check_dataset(folder))["same name"]
    for refuse in (load_training_data, load_dataset, lambda root: split_samples(root, "train")):
        with pytest.raises(ImageError, match=words):
            refuse(folder)


def test_two_files_that_nothing_names_and_clutter_spoil_nothing(tmp_path: Path):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH))
    for name in ("spare.png", "spare.jpg"):
        picture(1).save(folder / "images" / name)
    for name in ("._x.png", ".x.jpg"):
        (folder / "images" / name).write_bytes(b"\0\5\x16\7")
        (folder / "masks" / name).write_bytes(b"\0\5\x16\7")
    report = check_dataset(folder)
    assert report.clean
    assert "spare" in {name for finding in report.findings for name in finding.where}
    assert len(split_samples(folder, "test")) == 1


def test_sub_folders_refuse_two_files_of_one_stem_too(tmp_path: Path):
    folder = tmp_path / "data" / "test"
    write_folder(folder, Image.fromarray(TRUTH))
    (folder / "split.csv").unlink()
    two_images(folder)
    assert kinds(check_dataset(folder.parent))["same name"] == ("images/x.jpg, images/x.png",)
    with pytest.raises(ImageError, match="two images of one stem"):
        split_samples(folder.parent, "test")


def test_hidden_folders_hold_nothing_of_a_published_layout(tmp_path: Path):
    for root in (tmp_path / "data", tmp_path / "data" / "__MACOSX", tmp_path / "data" / ".trash"):
        write_folder(root, Image.fromarray(TRUTH))
        (root / "split.csv").unlink()
    found = load_dataset(tmp_path / "data", "kvasir_seg")
    assert [sample.image.parent for samples in found.values() for sample in samples] == [tmp_path / "data" / "images"]


def test_a_table_that_names_a_stem_twice_is_refused_with_a_preset_too(tmp_path: Path):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH * np.uint8(255)))
    twice_in_the_table(folder)
    assert "same name" in kinds(check_dataset(folder, "kvasir_seg"))
    with pytest.raises(ImageError, match="more than once"):
        load_dataset(folder, "kvasir_seg")


def add_sound(folder: Path) -> None:
    picture(2).save(folder / "images" / "y.png")
    Image.fromarray(TRUTH * np.uint8(255)).save(folder / "masks" / "y.png")
    (folder / "split.csv").write_text("stem,split\nx,test\ny,test\n")


def test_a_huge_mask_is_one_finding_and_the_rest_is_checked(tmp_path: Path, run: CommandLine):
    folder = write_folder(tmp_path / "data", Image.new("1", (14000, 13500)))
    add_sound(folder)
    report = check_dataset(folder)
    (where,) = kinds(report)["unreadable"]
    assert "too large" in where
    assert "--max-pixels 189000000" in where
    assert report.splits["test"].images == 1
    code, out, _ = run("data", "check", folder)
    assert code == 1
    assert "too large" in out


def test_max_pixels_moves_the_limit_both_ways(tmp_path: Path, run: CommandLine):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH * np.uint8(255)))
    assert run("data", "check", folder, "--max-pixels", 64 * 64)[0] == 0
    code, out, _ = run("data", "check", folder, "--max-pixels", 64 * 64 - 1)
    assert code == 1
    assert "--max-pixels 4096" in out
    assert_one_line_error(*run("data", "check", folder, "--max-pixels", 0), "--max-pixels")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("their own\nwords")])
def test_whatever_a_decoder_raises_is_one_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: CommandLine, error: Exception
):
    folder = write_folder(tmp_path / "data", Image.fromarray(TRUTH * np.uint8(255)))
    add_sound(folder)
    read = check.read_label_file

    def fail_once(path: Path, *more: object):
        if path.stem == "x":
            raise error
        return read(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "read_label_file", fail_once)
    report = check_dataset(folder)
    assert len(kinds(report)["unreadable"]) == 1
    told = next(finding for finding in report.findings if finding.kind == "unreadable")
    assert ("memory" in told.text) == isinstance(error, MemoryError)
    assert "\n" not in told.where[0]
    assert report.splits["test"].images == 1
    assert run("data", "check", folder)[0] == 1


def test_the_commands_take_labels(tmp_path: Path, run: CommandLine, small_checkpoint: Path):
    folder = write_folder(tmp_path / "data", in_colour(0, 1, 0))
    assert run("data", "check", folder)[0] == 1
    assert run("data", "check", folder, "--labels", "#00ff00=1")[0] == 0
    out = tmp_path / "report"
    command = ("evaluate", small_checkpoint, "--data", folder, "--out", out)
    assert_one_line_error(*run(*command), "in colours (#000000, #00ff00)", '--labels "#00ff00=1"')
    code, _, err = run(*command, "--labels", "#00ff00=1")
    assert code == 0, err
    assert_one_line_error(*run(*command, "--labels", "green"), "--labels has 'green'")


def test_a_resumed_run_reads_its_masks_as_it_began(tmp_path: Path):
    folder = write_folder(tmp_path / "data", in_colour(0, 1, 0))
    begin_run(Run(tmp_path / "run", read_recipe("polyp"), folder, None, None, labels="#00ff00=1"))
    assert open_run(tmp_path / "run").labels == "#00ff00=1"

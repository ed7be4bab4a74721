"""`data check` finds each kind of damage, names where it is, and is content with a folder that has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m_edge.cli.main import main
from s2m_edge.errors import ConfigurationError
from s2m_edge.train.data.check import DataReport, check_dataset
from s2m_edge.train.data.folders import list_samples


def found(report: DataReport) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    return {finding.kind: (finding.severity, finding.text, finding.where) for finding in report.findings}


def first(folder: Path, split: str = "train"):
    return list_samples(folder, split)[0]


def mask_of(folder: Path) -> np.ndarray:
    with Image.open(first(folder).mask) as picture:
        return np.asarray(picture.convert("L")).copy()


def save_mask(folder: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(first(folder).mask)


def test_a_sound_folder_is_clean_and_its_balance_is_right(folder: Path):
    report = check_dataset(folder)
    assert report.clean
    assert {split: figures.images for split, figures in report.splits.items()} == {"train": 2, "val": 1, "test": 1}
    figures = report.splits["val"]
    with Image.open(first(folder, "val").mask) as picture:
        mask = np.asarray(picture.convert("L")) > 127
    assert figures.pixels == [int((~mask).sum()), int(mask.sum())]
    assert figures.occurs == [1, 1]
    assert figures.empty == 0


def garbage(folder: Path) -> None:
    first(folder).image.write_bytes(b"garbage")


def crop_mask(folder: Path) -> None:
    save_mask(folder, mask_of(folder)[:-3])


def copy_over(folder: Path) -> None:
    """The same pixels in another file of the test split."""
    with Image.open(first(folder).image) as picture:
        pixels = picture.convert("RGB")
    pixels.save(folder / "images" / "copy.png")
    pixels.save(folder / "images" / "again.bmp")
    for name in ("copy", "again"):
        (folder / "masks" / f"{name}.png").write_bytes(first(folder).mask.read_bytes())
    with (folder / "split.csv").open("a") as table:
        table.write("copy,test\nagain,val\n")


@pytest.mark.parametrize(
    ("damage", "kind", "severity", "words"),
    [
        (garbage, "unreadable", "problem", "cannot be read"),
        (crop_mask, "size", "problem", "differ in size"),
        (lambda root: first(root).mask.unlink(), "missing mask", "problem", "without a mask"),
        (lambda root: first(root).image.unlink(), "missing image", "problem", "without an image"),
        (lambda root: save_mask(root, mask_of(root) // 128 * 3), "labels", "problem", "several classes"),
        (lambda root: save_mask(root, mask_of(root) // 2), "labels", "problem", "grey picture"),
        (lambda root: save_mask(root, np.maximum(mask_of(root), 1)), "labels", "problem", "both 1 and 255"),
        (lambda root: save_mask(root, np.clip(mask_of(root), 4, 251)), "labels", "note", "as JPEG leaves them"),
        (lambda root: save_mask(root, mask_of(root) * 0), "empty mask", "note", "without foreground"),
        (copy_over, "duplicate", "problem", "two sides"),
        (lambda root: (root / "masks" / "spare.png").write_bytes(b""), "not listed", "note", "split.csv leaves out"),
        (lambda root: (root / "split.csv").unlink(), "split", "problem", "there is no split"),
    ],
)
def test_damage_is_found_and_named(
    folder: Path, damage: Callable[[Path], None], kind: str, severity: str, words: str
) -> None:
    if kind == "labels" and "several" not in words:
        save_mask(folder, (mask_of(folder) > 127) * (254 if "grey" in words else 255))
    damage(folder)
    report = check_dataset(folder)
    assert kind in found(report)
    assert found(report)[kind][0] == severity
    assert words in found(report)[kind][1]
    assert report.clean == (severity == "note")


def test_255_where_1_was_meant_is_said_so(folder: Path):
    save_mask(folder, (mask_of(folder) > 127) * 255)
    _, text, where = found(check_dataset(folder, classes=3))["labels"]
    assert "0 and 255" in text
    assert "1 was meant" in text
    assert f"masks/{first(folder).mask.name}" in where


def test_labels_beyond_the_classes_are_listed(folder: Path):
    for split in ("train", "val", "test"):
        for sample in list_samples(folder, split):
            with Image.open(sample.mask) as picture:
                mask = np.asarray(picture.convert("L")) > 127
            Image.fromarray(mask.astype(np.uint8) * 2).save(sample.mask)
    save_mask(folder, mask_of(folder) // 2 * 5)
    report = check_dataset(folder, classes=3)
    assert found(report)["labels"][1] == "the values 5, which stand for no class"
    assert report.splits["val"].occurs == [1, 0, 1]


def test_patients_on_two_sides_are_found_by_table_or_by_name(folder: Path):
    rows = (folder / "split.csv").read_text().split()
    cases = ["ann", "ben", "ann", "cid"]
    table = "\n".join(["stem,split,case", *(f"{row},{case}" for row, case in zip(rows[1:], cases, strict=True))])
    assert "cases unknown" in found(check_dataset(folder))
    (folder / "split.csv").write_text(table)
    severity, _, where = found(check_dataset(folder))["case on two sides"]
    assert (severity, where) == ("problem", ("ann (train, val)",))
    assert found(check_dataset(folder, case_pattern=r"^(.)"))["case on two sides"][0] == "problem"
    with pytest.raises(ConfigurationError, match="no regular expression"):
        check_dataset(folder, case_pattern="(")


def test_a_duplicate_names_every_copy(folder: Path):
    stem = first(folder).stem
    copy_over(folder)
    (line,) = found(check_dataset(folder))["duplicate"][2]
    assert set(line.split(" = ")) == {f"train/{stem}", "test/copy", "val/again"}


def test_a_preset_brings_its_classes_and_its_split(tmp_path: Path):
    for n in range(1, 15):
        noise = np.random.default_rng(n).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"Image_{n:02d}L.jpg")
        Image.fromarray(np.eye(24, dtype=np.uint8) * 255).save(tmp_path / f"Image_{n:02d}L_1stHO.png")
    report = check_dataset(tmp_path, "chase_db1")
    assert report.clean
    assert {split: figures.cases for split, figures in report.splits.items()} == {"train": 8, "val": 2, "test": 4}
    assert "11 to 14 test" in report.split_rule


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    shown = capsys.readouterr()
    return int(done.value.code or 0), shown.out, shown.err


def test_the_command_exits_with_0_1_or_2(folder: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = run(["data", "check", str(folder)], capsys)
    assert code == 0
    assert "no problems" in out
    garbage(folder)
    code, out, _ = run(["data", "check", str(folder)], capsys)
    assert code == 1
    assert "unreadable" in out
    assert first(folder).image.name in out
    code, out, _ = run(["data", "check", str(folder), "--json"], capsys)
    assert code == 1
    values = json.loads(out)
    assert values["clean"] is False
    assert values["findings"][0]["kind"] == "unreadable"
    for wrong in (["nowhere"], [str(folder), "--preset", "dirve"], [str(folder), "--classes", "0"]):
        code, out, err = run(["data", "check", *wrong], capsys)
        assert code == 2
        assert out == ""
        assert "error:" in err
        assert "Traceback" not in err

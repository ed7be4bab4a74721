"""The list of an archive's pictures: a table with the columns `path` and, where wanted, `name` and `slice`."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from s2m_edge.errors import ConfigurationError, MissingBackendError
from s2m_edge.files import LONGEST_NAME
from s2m_edge.imaging.folders import alike, stem_of
from s2m_edge.installation import install_command
from s2m_edge.text_files import read_text

COLUMNS = ("path", "name", "slice")
LONGEST_SUFFIX = len("-unproved-overlay.png")
_ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Item:
    """One row.

    Attributes:
        row: of the table; the line of a CSV file, the number of the row in Parquet.
        path: of the picture or the study, absolute.
        written: the path as the manifest has it.
        name: what its outputs are called after, in the archive's folder: `a/b/case1` lies in a/b/. Tells items apart.
        slice_index: of a volume or a file with frames; None leaves it to the reader.
    """

    row: int
    path: Path
    written: str
    name: str
    slice_index: int | None = None


@dataclass(frozen=True)
class Manifest:
    """A list, read and checked.

    Attributes:
        path: of the table.
        items: in its order, at least one.
        ignored: columns that nothing is done with.
    """

    path: Path
    items: tuple[Item, ...]
    ignored: tuple[str, ...] = ()


def read_manifest(path: Path, default_slice: int | None = None) -> Manifest:
    """Read a manifest, CSV or (by its suffix) Parquet. Whether the pictures are there is not looked at.

    Without a name, a row is named by its path without the image's suffix, in the same folders; one that lies elsewhere
    (an absolute path, or one that leads upwards) in `elsewhere/ID/`, ID standing for its folder. A slice that is chosen
    is part of it: `case1-slice-12`. A name so depends on its own row alone, and stays when the list grows.

    Args:
        default_slice: of rows that name none; it is no part of their names.

    Raises:
        ConfigurationError: no such table, none with a column `path`, a row that is not understood, two rows of one
            picture, or two that would be written to the same place. The row is named.
        MissingBackendError: a Parquet file, and pyarrow is not installed.
    """
    parquet = path.suffix.lower() in (".parquet", ".pq")
    columns, rows = _parquet_rows(path) if parquet else _csv_rows(path)
    where = "row" if parquet else "line"
    if "path" not in columns:
        raise ConfigurationError(
            f"{path} lacks the column path", "Give it the first line path, or path,name,slice, comma-separated."
        )
    items = tuple(_item(path, f"{where} {number}", number, row, default_slice) for number, row in rows)
    if not items:
        raise ConfigurationError(f"{path} lists no pictures", "Give it a line for each.")
    _require_each_once(path, where, items)
    return Manifest(path, items, tuple(name for name in columns if name not in COLUMNS))


def _csv_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        for name in COLUMNS:
            if columns.count(name) > 1:
                raise ConfigurationError(f"{path} has the column {name} more than once", "Remove all but one.")
        for row in reader:
            if None in row:
                raise ConfigurationError(
                    f"{path}, line {reader.line_num}: there are more values than columns",
                    "Quote a value that holds a comma.",
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ConfigurationError(f"{path} is no table ({error})", "Save it as comma-separated text.") from None
    return columns, rows


def _parquet_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingBackendError(
            "pyarrow, which reads Parquet, is not installed", f"{install_command('archive')}, or give a CSV file."
        ) from None
    try:
        columns = list(parquet.read_schema(path).names)
        wanted = [name for name in COLUMNS if name in columns]
        rows = list(enumerate(parquet.read_table(path, columns=wanted).to_pylist(), start=1))
    except Exception as error:  # pyarrow's own, and the file system's
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{path} cannot be read as Parquet ({reason})", "Check the path.") from None
    return columns, rows


def _item(table: Path, place: str, row: int, values: dict[str, Any], default_slice: int | None) -> Item:
    def refuse(cause: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(f"{table}, {place}: {cause}", remedy)

    written = _text(values.get("path"))
    if not written:
        raise refuse("the path is empty", "Name the picture, or remove the line.")
    if "\0" in written:
        raise refuse("the path holds a character that no path has", "Save the table again.")
    stated = _slice(values.get("slice"))
    if stated == -1:
        raise refuse(f"the slice is {_text(values.get('slice'))!r}", "Give a number from 0 on, or leave it empty.")
    name = _text(values.get("name"))
    wrong = _fault_of_name(name) if name else ""
    if wrong:
        raise refuse(f"the name {name[:60]!r} {wrong}", "Choose a plain name, as of a file without its suffix.")
    if not name and Path(written).name in ("", ".."):
        raise refuse(f"the path {written[:60]!r} gives no name", "Give the row one in the column name.")
    name = name or _own_name(written, stated)
    if any(len(os.fsencode(part)) > LONGEST_NAME - LONGEST_SUFFIX for part in name.split("/")):
        raise refuse("the name is too long for a file's", "Give the row a shorter one in the column name.")
    return Item(row, table.parent.absolute() / written, written, name, default_slice if stated is None else stated)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _slice(value: Any) -> int | None:
    """The number of a slice; None where there is none, -1 where it is no number."""
    if isinstance(value, float) and value.is_integer():  # of a Parquet column with gaps, as pandas writes it
        value = int(value)
    text = _text(value)
    if not text or text.lower() == "nan":
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _fault_of_name(name: str) -> str:
    if any(sign in name for sign in '/\\:*?"<>|'):
        return "holds a character that file names cannot have everywhere"
    if not name.isprintable():
        return "holds a character that cannot be shown"
    return "begins with a dot" if name.startswith(".") else ""


def _own_name(written: str, slice_index: int | None) -> str:
    parts = PurePosixPath(written.replace("\\", "/") if os.sep == "\\" else written).parts
    end = "" if slice_index is None else f"-slice-{slice_index}"
    stem = stem_of(Path(parts[-1])) + end
    if ".." in parts or Path(written).is_absolute():
        folder = hashlib.sha256(os.fsencode("/".join(parts[:-1]))).hexdigest()[:12]
        return f"{_ELSEWHERE}/{folder}/{stem}"
    return "/".join((*parts[:-1], stem))


def _require_each_once(table: Path, where: str, items: Iterable[Item]) -> None:
    """Raise ConfigurationError where two rows are of one picture and slice, or would be written to the same place."""
    seen: dict[tuple[str, int | None], Item] = {}
    for item in items:
        first = seen.setdefault((os.path.normpath(item.path), item.slice_index), item)
        if first is not item:
            raise ConfigurationError(
                f"{table}: {item.written} is in {where} {first.row} and in {where} {item.row}", "Remove one of them."
            )
    by_name: dict[str, list[int]] = {}
    for item in items:
        by_name.setdefault(item.name, []).append(item.row)
    for group in alike(name for name, rows in by_name.items() for _ in rows):
        rows = sorted({row for name in group for row in by_name[name]})
        raise ConfigurationError(
            f"{table}: the {where}s {_listed(rows)} would be written to the same place, as {group[0]}",
            "Tell them apart in a column name.",
        )


def _listed(rows: list[int]) -> str:
    shown = [str(row) for row in rows[:5]]
    return ", ".join([*shown, "..."] if len(rows) > len(shown) else shown)


def input_paths(items: Iterable[Item]) -> Iterator[str]:
    """The pictures' own files, links followed: what no output may be."""
    return (os.path.realpath(item.path) for item in items)

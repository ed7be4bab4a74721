"""What the README promises of its commands, compared with what they printed and left.

Promises are of three kinds: a block without a language shows what the commands before it print; a path in code in the
prose behind a block is there afterwards; and a comment behind a command says something that a check of `SAID` holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

MACHINE = {"ms": lambda promised, found: found > 0, "error": lambda promised, found: 0 <= found < 10 * promised}
"""Columns whose figures are those of a machine: times, and rounding, of which no more than the tenfold is accepted."""
CLOSE = 0.02
"""How far, as a part of it, any other figure may be off: sizes, agreement."""
PATH = re.compile(r"`([\w.-]+/[\w./-]*)`")


def number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def agrees(promised: str, found: str, column: str) -> bool:
    """Whether a printed word is the promised one, or a figure as good as the promised one."""
    wanted, given = number(promised), number(found)
    if wanted is None or given is None:
        return promised == found or set(promised) == set(found) == {"─"}
    allowed = MACHINE.get(column, lambda promised, found: abs(found - promised) <= CLOSE * abs(promised))
    return allowed(wanted, given)


def line_agrees(promised: str, found: str, columns: list[str]) -> bool:
    """Columns count from the right: cells at the left may have several words."""
    wanted, given = promised.split(), found.split()
    named = ([""] * len(wanted) + columns)[-len(wanted) :]
    return len(wanted) == len(given) and all(map(agrees, wanted, given, named))


def compare_printed(promised: str, output: str) -> list[str]:
    """The promised lines that were not printed, each as a sentence. Their order is that of the page."""
    breaches, rest = list[str](), output.splitlines()
    columns: list[str] = []
    for line in filter(str.strip, promised.splitlines()):
        if set(MACHINE) <= set(line.split()):
            columns = line.split()
        place = next((index for index, found in enumerate(rest) if line_agrees(line, found, columns)), None)
        if place is None:
            breaches.append(f"not printed: {line.strip()}")
        else:
            rest = rest[place + 1 :]
    return breaches


def promised_paths(prose: str) -> list[str]:
    """The paths, files or folders, that prose names in code."""
    return PATH.findall(prose)


def is_there(path: Path) -> bool:
    """Whether there is such a file, or a folder with something in it."""
    return any(path.iterdir()) if path.is_dir() else path.is_file()


def measured_on_the_readers_pictures(output: str, place: Path) -> bool:
    count = len(list((place / "my" / "images").iterdir()))
    return re.search(rf"\b{count} real images", output) is not None


def one_overlay_of_each_target(output: str, place: Path) -> bool:
    """As the README's table of targets lists them."""
    targets = re.findall(r"^\| `(\w+)` \| `\.", (place / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    drawn = {path.parent.name for path in (place / "demo-output" / "overlays").glob("*/*-overlay.png")}
    own = (place / ".venv" / "bin" / "s2m-edge").is_file()
    return own and bool(targets) and drawn == set(targets)


def every_target_and_precision(output: str, place: Path) -> bool:
    wanted = [rf"{target}\b.*\b{precision}" for target in ("openvino", "onnx") for precision in ("float32", "int8")]
    return all(re.search(pattern, output) for pattern in wanted)


def shape_of_the_picture(output: str, place: Path) -> bool:
    """`{'polyp': 1234} (height, width)`, with the picture's size out of its header."""
    header = (place / "colon.png").read_bytes()[16:24]
    width, height = (int.from_bytes(part, "big") for part in (header[:4], header[4:]))
    return re.search(rf"\{{'polyp': [1-9]\d*\}} \({height}, {width}\)", output) is not None


SAID: dict[str, Callable[[str, Path], bool]] = {
    "exports the bundled checkpoint to all targets, runs each on a real image": one_overlay_of_each_target,
    "parity measured on your images": measured_on_the_readers_pictures,
    "Dice, HD95 and more on labelled images": lambda output, place: "Dice" in output and "HD95" in output,
    "every way to run it here, side by side": every_target_and_precision,
    "pixels of each class; the mask in the picture's own size": shape_of_the_picture,
}
"""What comments say of the commands before them, and whether it came true: of their output, and of the clone."""

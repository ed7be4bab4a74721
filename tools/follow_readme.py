"""Follows the README in a clean clone, as someone who has nothing but it: runs every block, compares what it promises.

    python3.11 tools/follow_readme.py                      in a new clone of this checkout
    python3.11 tools/follow_readme.py CLONE --quick        in another, without what takes minutes beside the demo
    python3.11 tools/follow_readme.py CLONE --without PATTERN

Commands see a home of their own, the system's folders, this Python's, and the new environment once the README says how
to enter it; of this process's settings only those of pip and of the network. What the README calls its reader's own is
made by the clone's tests/reader.py, and removed afterwards. Exits with 1 if a command fails or a promise is not kept.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from page_blocks import SHELL, Line, blocks_of, lines_of
from readme_promises import SAID, compare_printed, is_there, promised_paths

ROOT = Path(__file__).resolve().parents[1]
ENTER = "source .venv/bin/activate"
NETWORK_SETTINGS = re.compile(r"PIP_\w+|SSL_CERT_\w+|\w+_proxy", re.IGNORECASE)
SNIPPET = "snippet.py"
READERS = ("tests/reader.py", "colon.png")
"""What makes the reader's files, and one of them."""

NOT_RUN = {r"^make test": "takes half an hour; .ci/run runs it after this"}
QUICK = {
    r"^s2m-edge benchmark": "takes minutes; left out by --quick",
    r"^s2m-edge export --target all --images": "the demo made such bundles a moment ago; --quick copies them",
}
INSTEAD = {r"^s2m-edge export --target all --images": "cp -r demo-output/bundles exports"}
"""What is run in place of a command that --quick leaves out."""
WITHOUT = "left out with --without"

AFTER = {r"^s2m-edge spec new (\S+)": r"python tests/reader.py --fill-in \1"}
"""What the reader does by hand after a command."""


@dataclass(frozen=True)
class Step:
    """A block to run: its commands, whether the environment was entered before, and what is promised of it."""

    lines: tuple[Line, ...]
    entered: bool
    snippet: str = ""
    printed: str = ""
    paths: tuple[str, ...] = ()


def steps_of(text: str) -> list[Step]:
    """Every block of a page, output with the commands before it. ValueError for a block that nobody can follow."""
    steps: list[Step] = []
    entered = False
    for block in blocks_of(text):
        entered = entered or f"`{ENTER}`" in block.before
        paths = tuple(promised_paths(block.after))
        if block.language in SHELL:
            steps.append(Step(tuple(lines_of(block.content)), entered, paths=paths))
        elif block.language == "python":
            line = Line(f"python {SNIPPET}", "; ".join(says for says in SAID if says in block.content))
            steps.append(Step((line,), entered, snippet=block.content, paths=paths))
        elif block.language in ("", "text") and steps and not steps[-1].printed:
            last = steps.pop()
            steps.append(Step(last.lines, last.entered, last.snippet, block.content, last.paths + paths))
        else:
            raise ValueError(f"a block of {block.language or 'output'} that follows no command: {block.content[:60]!r}")
    return steps


def reason_against(command: str, reasons: Mapping[str, str]) -> str:
    """Why a command is not run; empty where it is."""
    return next((why for pattern, why in reasons.items() if re.search(pattern, command)), "")


def unchecked(steps: list[Step], reasons: Mapping[str, str]) -> list[str]:
    """What pages say of commands that are run and no check holds, and checks of what no page says any more."""
    said = [line.says for step in steps for line in step.lines]
    lines = [line for step in steps for line in step.lines if line.says and not reason_against(line.command, reasons)]
    return [f"nothing checks: {line.says}" for line in lines if not any(words in line.says for words in SAID)] + [
        f"no longer said: {words}" for words in SAID if not any(words in says for says in said)
    ]


def environment(home: Path) -> dict[str, str]:
    """Of a fresh machine with this Python, and of no environment that this process may run in."""
    kept = {name: value for name, value in os.environ.items() if NETWORK_SETTINGS.fullmatch(name)}
    path = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
    return {**kept, "HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}


def run(command: str, clone: Path, home: Path, *, entered: bool) -> tuple[int, str]:
    """The exit code of a command in a shell in the clone, and all that it printed, shown as it comes."""
    script = f"{ENTER} && {command}" if entered else command
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=clone,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        print("  |", line, end="", flush=True)
        printed.append(line)
    return process.wait(), "".join(printed)


def follow_step(step: Step, clone: Path, home: Path, reasons: Mapping[str, str]) -> list[str]:
    """What is wrong with a block, after its commands; the first that fails is the last one run."""
    output, left_out = "", False
    breaches: list[str] = []
    if step.snippet:
        (clone / SNIPPET).write_text(step.snippet, encoding="utf-8")
    for line in step.lines:
        if why := reason_against(line.command, reasons):
            print(f"-- not run: {line.command} ({why})", flush=True)
            left_out = left_out or why == WITHOUT
            if why in QUICK.values() and (instead := reason_against(line.command, INSTEAD)):
                run(instead, clone, home, entered=step.entered)
            continue
        maker, made = (clone / name for name in READERS)
        if step.entered and maker.is_file() and not made.exists():
            run(f"python {maker.relative_to(clone)} .", clone, home, entered=True)
        print(f"-- {line.command}", flush=True)
        start = time.monotonic()
        code, printed = run(line.command, clone, home, entered=step.entered)
        print(f"-- {time.monotonic() - start:.0f} s: {line.command}", flush=True)
        if code:
            return [*breaches, f"{line.command} ended with {code}"]
        breaches += [
            f"{line.command}: not so: {words}"
            for words, holds in SAID.items()
            if words in line.says and not holds(printed, clone)
        ]
        output += printed
        for pattern, follows in AFTER.items():
            if found := re.match(pattern, line.command):
                run(found.expand(follows), clone, home, entered=True)
    if left_out:
        return breaches
    missing = [f"not there: {path}" for path in step.paths if not is_there(clone / path)]
    return breaches + compare_printed(step.printed, output) + missing


def untracked(clone: Path) -> set[str]:
    """Files of a clone that are neither in it nor ignored."""
    command = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    return set(filter(None, subprocess.run(command, cwd=clone, capture_output=True, text=True).stdout.split("\0")))


def follow(clone: Path, home: Path, reasons: Mapping[str, str]) -> list[str]:
    """What is wrong with a clone's README; the first block that is wrong is the last one followed."""
    steps = steps_of((clone / "README.md").read_text(encoding="utf-8"))
    for step in steps:
        if breaches := follow_step(step, clone, home, reasons):
            return breaches
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clone", type=Path, nargs="?", help="a clean clone; one of this checkout is made by default")
    parser.add_argument("--without", action="append", default=[], metavar="PATTERN", help="commands to leave out")
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes beside the demo")
    parser.add_argument("--keep", action="store_true", help="leave the reader's files where they are")
    options = parser.parse_args()
    reasons = {**NOT_RUN, **(QUICK if options.quick else {}), **dict.fromkeys(options.without, WITHOUT)}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name, "home")
        home.mkdir()
        clone = (options.clone or Path(name, "clone")).resolve()
        if options.clone is None:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        before = untracked(clone)
        breaches = follow(clone, home, reasons)
        for path in untracked(clone) - before if not options.keep else ():
            (clone / path).unlink()
    for breach in breaches:
        print(f"error: {breach}")
    print("The README is not followed to its end." if breaches else "The README does what it says.")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

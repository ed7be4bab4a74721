"""A program for tests that look at it from outside: runs commands of the toolkit, one after the other."""

from __future__ import annotations

import sys
from pathlib import Path

from s2m_edge.cli.main import main


def commands(out: Path, picture: Path, data: Path) -> list[list[str]]:
    """What is run, on a bundled checkpoint where one is needed."""
    bundle = str(out / "s2mnet-polyp-352-onnx-float32")
    return [
        ["doctor"],
        ["targets"],
        ["info", "polyp"],
        ["data", "check", str(data)],
        ["export", "--target", "onnx", "--images", str(picture.parent), "--limit", "1", "--out", str(out)],
        ["info", bundle],
        ["predict", bundle, str(picture), "--out", str(out / "masks")],
        ["parity", bundle, "--images", str(picture.parent), "--limit", "1"],
        ["evaluate", bundle, "--data", str(data), "--split", "test", "--out", str(out / "evaluation")],
    ]


if __name__ == "__main__":
    for words in commands(*map(Path, sys.argv[1:4])):
        try:
            main(words)
        except SystemExit as ended:
            print("ended:", words[0], ended.code, flush=True)

"""The pages of the bundled networks for a reviewer, docs/pages/NAME.html: each exported here, in float32 and int8.

    python tools/network_pages.py [NAME...]

Some minutes for each network. A page is written only where every gate held.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from s2m_edge.bundled import BUNDLED_CHECKPOINTS, QUANTIZED_SUFFIX

PAGES = Path(__file__).resolve().parent.parent / "docs" / "pages"
TARGETS = ("onnx", "openvino")
PRECISIONS = ("float32", "int8")
NETWORKS = tuple(name for name in BUNDLED_CHECKPOINTS if not name.endswith(QUANTIZED_SUFFIX))


def run(*arguments: str, place: Path) -> None:
    """A command of ours in a folder, whose relative paths are what a page then says of how it was made."""
    subprocess.run([sys.executable, "-m", "s2m_edge.cli.main", *arguments], check=True, cwd=place)


def make_page(network: str, place: Path) -> Path:
    """Export a bundled network, and write its page."""
    for precision in PRECISIONS:
        chosen = ("--checkpoint", network, "--precision", precision, "--target", ",".join(TARGETS))
        run("export", *chosen, "--out", network, place=place)
    bundles = sorted(path.relative_to(place).as_posix() for path in (place / network).iterdir() if path.is_dir())
    page = place / f"{network}.html"
    run("report", *bundles, "--out", page.name, place=place)
    PAGES.mkdir(exist_ok=True)
    return page.replace(PAGES / page.name)


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in NETWORKS]:
        print(f"error: there is no bundled network {unknown[0]}. Choose of {', '.join(NETWORKS)}.", file=sys.stderr)
        return 2
    for name in names or NETWORKS:
        # On one drive with the pages, so that each takes its place in one step.
        with tempfile.TemporaryDirectory(dir=PAGES.parent, prefix=".pages-") as folder:
            try:
                page = make_page(name, Path(folder))
            except subprocess.CalledProcessError as error:
                return error.returncode
            print(f"{page}: {page.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

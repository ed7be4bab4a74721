"""`make demo`: export the bundled checkpoint to every target, run each on a real picture, show the overlays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from s2m_edge.samples import sample_images
from s2m_edge.targets.registry import TARGETS


def run(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "s2m_edge.cli.main", *arguments]).returncode


def main(out: Path) -> int:
    """Exit code 0 when every gate held and every target drew its overlay."""
    bundles = out / "bundles"
    code = run("export", "--target", "all", "--out", str(bundles))
    if code:
        return code
    picture = sample_images("polyp")[0]
    drawn: list[Path] = []
    targets = [target for target in TARGETS if target.exists_here()]
    for target in targets:
        found = sorted(bundles.glob(f"*-{target.name}-{target.precisions[0]}"))
        for bundle in found:
            folder = out / "overlays" / target.name
            code = run("predict", str(bundle), str(picture), "--out", str(folder)) or code
            drawn.extend(sorted(folder.glob("*-overlay.png")))
    print("\nOverlays (research use only, not a medical device):")
    for path in drawn:
        print(f"  {path}")
    return code or (0 if len(drawn) == len(targets) else 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")))

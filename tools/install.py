"""Set up this environment: torch's CPU build where pip can find one, then the toolkit with every target.

Asking for torch first and exactly keeps other packages' ranges from pulling a CUDA build of several gigabytes where a
CPU build is at hand (a find-links folder or PyTorch's own index, set through pip's usual settings).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def install(*arguments: str) -> None:
    """Install with pip, and leave the bytecode to Python: most of thirty thousand modules are never imported, and to
    compile them all takes a third of the set-up."""
    options = ("--quiet", "--disable-pip-version-check", "--no-compile")
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *arguments], check=True, cwd=ROOT)


def main() -> int:
    torch_pin = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert torch_pin is not None, "pyproject.toml pins torch"
    try:
        install(torch_pin.group(1))
        install("--editable", ".[dev]")
        networks = ["--no-deps", "--target", str(Path(sys.prefix) / "networks"), "--requirement", "tools/networks.txt"]
        install("--upgrade", *networks)
    except subprocess.CalledProcessError as error:
        print(f"error: pip failed ({error.returncode}); its message is above. Check the network and run again.")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

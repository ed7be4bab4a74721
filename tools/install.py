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


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, cwd=ROOT)


def main() -> int:
    torch_pin = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert torch_pin is not None, "pyproject.toml pins torch"
    try:
        pip("install", "--quiet", "--disable-pip-version-check", torch_pin.group(1))
        pip("install", "--quiet", "--disable-pip-version-check", "--editable", ".[dev]")
        networks = ["--no-deps", "--target", str(Path(sys.prefix) / "networks"), "--requirement", "tools/networks.txt"]
        pip("install", "--quiet", "--disable-pip-version-check", "--upgrade", *networks)
    except subprocess.CalledProcessError as error:
        print(f"error: pip failed ({error.returncode}); its message is above. Check the network and run again.")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Set up this environment: torch's CPU build where one can be found, then the toolkit with every target.

Asking for torch first and exactly keeps other packages' ranges from pulling a CUDA build of several gigabytes where a
CPU build is at hand (a find-links folder or PyTorch's own index, set through pip's usual settings).

uv installs, which asks a third of the processor time that pip asks; it is told what pip's settings say. Where it
cannot be had, or fails, pip does the same.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.9"
SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "no-index": "UV_NO_INDEX",
}
"""pip's settings of where packages are looked for, and uv's variables for the same."""
LISTS = {"UV_INDEX": " ", "UV_FIND_LINKS": ",", "UV_CONSTRAINT": " "}
"""What stands between several values."""


def pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"], check=True, cwd=ROOT
    )


def uv_settings(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """uv's environment variables for what `pip config list` prints, and for looking where pip looks.

    pip takes the best version of all indexes, uv that of the first index that has the package, unless it is told.

    Args:
        listed: lines such as `global.find-links='/wheels'`. Of one setting the user's counts before the machine's, this
            environment's before the user's, and the variable's (`:env:`) before all.
        environment: what is set there already stays.
    """
    order = ("global", "user", "site", "install", ":env:")
    found: dict[str, tuple[int, str]] = {}
    for line in listed.splitlines():
        match = re.fullmatch(r"(:env:|\w+)\.([\w-]+)=(.+)", line.strip())
        if match is None or match[2] not in SETTINGS or match[1] not in order:
            continue
        rank, name = order.index(match[1]), SETTINGS[match[2]]
        if name not in found or found[name][0] <= rank:
            found[name] = rank, LISTS.get(name, " ").join(str(ast.literal_eval(match[3])).split())
    given = {name: value for name, (_, value) in found.items()}
    return {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        **given,
        **{name: environment[name] for name in given if name in environment},
    }


def find_uv() -> Callable[..., None] | None:
    """What installs with uv, put into this environment by pip; None where it cannot be had."""
    try:
        pip("install", UV)
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
        ).stdout
    except subprocess.CalledProcessError:
        return None
    # A cache of its own, on the environment's drive: its files are linked, not copied, and it does not stay behind.
    cache = Path(sys.prefix) / ".uv-cache"
    settings = {**os.environ, **uv_settings(listed, os.environ), "UV_CACHE_DIR": str(cache), "UV_NO_PROGRESS": "1"}

    def uv(verb: str, *arguments: str) -> None:
        command = [str(Path(sys.executable).parent / "uv"), "pip", verb, "--python", sys.executable, "--quiet"]
        subprocess.run([*command, "--compile-bytecode", *arguments], check=True, cwd=ROOT, env=settings)

    return uv


def install_all(install: Callable[..., None]) -> None:
    torch_pin = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert torch_pin is not None, "pyproject.toml pins torch"
    install("install", torch_pin.group(1))
    install("install", "--editable", ".[dev]")
    networks = ["--no-deps", "--target", str(Path(sys.prefix) / "networks"), "--requirement", "tools/networks.txt"]
    install("install", "--upgrade", *networks)


def main() -> int:
    uv = find_uv()
    try:
        if uv is not None:
            try:
                install_all(uv)
                return 0
            except (subprocess.CalledProcessError, OSError):
                print("note: uv failed, its message is above; pip goes on", file=sys.stderr)
            finally:
                shutil.rmtree(Path(sys.prefix) / ".uv-cache", ignore_errors=True)
        install_all(pip)
    except subprocess.CalledProcessError as error:
        print(f"error: pip failed ({error.returncode}); its message is above. Check the network and run again.")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

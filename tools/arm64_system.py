"""The system that tools/arm64.py runs programs in: Debian's arm64 Python, the runtimes' wheels for aarch64, and what
the emulator leaves out of a processor. It lies in the cache; nothing of this machine is changed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.errors import CapabilityError, NativeBuildError
from s2m_edge.files import FolderKind, publish_folder, staged_folder
from s2m_edge.native import CACHE_PLACE, cache_folder

WHEELS = Path(__file__).resolve().parent / "arm64.txt"
"""Requirements with their hashes, as pip takes them."""

SUITE = "bookworm"
"""Of Debian: its Python is 3.11, its C library 2.36."""
NEWEST_C_LIBRARY = 36
"""The minor version of the newest C library that a wheel may ask for."""
MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libssl3"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
)
_KIND = FolderKind("a system for Arm", lambda folder: ["root/*", "wheels/*", "bytecode/*"], CACHE_PLACE)


@dataclass(frozen=True)
class Processor:
    """One that the emulator plays, and what it does not tell of it: Linux's files say what this machine has, and the
    runtimes read them. Without them ONNX Runtime and OpenVINO end with a segmentation fault.

    Attributes:
        name: QEMU's.
        board: that has it.
        identification: its register MIDR_EL1.
        features: in Linux's words; what the emulator's AT_HWCAP says too.
    """

    name: str
    board: str
    identification: int
    features: str

    @property
    def files(self) -> dict[str, str]:
        """By their paths below the root."""
        midr, cpus = self.identification, "sys/devices/system/cpu"
        lines = {
            "processor": "0",
            "BogoMIPS": "100.00",
            "Features": self.features,
            "CPU implementer": f"0x{midr >> 24 & 0xFF:02x}",
            "CPU architecture": "8",
            "CPU variant": f"0x{midr >> 20 & 0xF:x}",
            "CPU part": f"0x{midr >> 4 & 0xFFF:03x}",
            "CPU revision": f"{midr & 0xF}",
        }
        return {
            "proc/cpuinfo": "".join(f"{name}\t: {value}\n" for name, value in lines.items()) + "\n",
            f"{cpus}/cpu0/regs/identification/midr_el1": f"0x{midr:016x}\n",
            **{f"{cpus}/{name}": "0\n" for name in ("possible", "present", "online")},
        }


_FIRST = "fp asimd aes pmull sha1 sha2 crc32"
PROCESSORS = (
    Processor(
        "cortex-a76",
        "Raspberry Pi 5",
        0x414FD0B1,
        f"{_FIRST} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
    Processor("cortex-a72", "Raspberry Pi 4", 0x410FD083, f"{_FIRST} cpuid"),
)
"""The default first. None has scalable vectors (SVE), which QEMU 7.2 emulates ten times as slowly."""


def find_processor(name: str) -> Processor:
    """The row of that name.

    Raises:
        CapabilityError: there is none.
    """
    for row in PROCESSORS:
        if row.name == name:
            return row
    raise CapabilityError(f"there is no processor {name!r}", f"Choose {' or '.join(row.name for row in PROCESSORS)}.")


@dataclass(frozen=True)
class System:
    """A folder of the cache, prepared."""

    folder: Path

    @property
    def root(self) -> Path:
        """What the emulator takes for `/`, as far as it goes; elsewhere it sees this machine's files."""
        return self.folder / "root"

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def bytecode(self) -> Path:
        """Where the emulated Python keeps what it compiled: compiling is most of an emulated start."""
        return self.folder / "bytecode"

    def dress(self, processor: Processor, place: Path) -> Path:
        """A root of its own for one program, in the empty folder `place`: this one, with the files of a processor."""
        for entry in self.root.iterdir():
            (place / entry.name).symlink_to(entry)
        for name, content in processor.files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="ascii")
        return place


def find_system() -> System | None:
    """The system where it is prepared already."""
    found = System(_place())
    return found if found.root.is_dir() else None


def prepare_system(mirror: str = MIRROR) -> System:
    """The system; about 105 MB are fetched where it is not there.

    Debian's packages are trusted for Debian's signature, as on every machine of Debian's: their versions, and so their
    hashes, change with each point release. The wheels are those of `WHEELS`.

    Raises:
        NativeBuildError: something is lacking here, or cannot be fetched.
        OutputError: the cache cannot be written.
    """
    found = find_system()
    if found is not None:
        return found
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise NativeBuildError(f"there is no {program} here", "Use Debian, or a container of it.")
    if not KEYRING.is_file():
        raise NativeBuildError(f"there is no {KEYRING}", "Install it: apt install debian-archive-keyring.")
    final = _place()
    with staged_folder(final, _KIND) as stage:
        keep = stage / "keep"
        for name in ("root", "wheels", "bytecode"):
            (keep / name).mkdir(parents=True)
        _unpack_packages(stage, keep / "root", mirror)
        _unpack_wheels(stage, keep / "wheels")
        if find_system() is None:  # another process may have been first, and may run programs in it
            publish_folder(keep, final, _KIND)
    return System(final)


def _place() -> Path:
    facts = "\n".join((SUITE, *PACKAGES, WHEELS.read_text(encoding="utf-8")))
    return cache_folder().resolve() / "arm64" / hashlib.sha256(facts.encode()).hexdigest()[:16]


def _unpack_packages(stage: Path, root: Path, mirror: str) -> None:
    """By an apt with folders of its own: this machine's has neither the architecture nor, maybe, the suite."""
    etc, state, fetched = stage / "etc", stage / "state", stage / "packages"
    for folder in (
        etc / "preferences.d",
        state / "lists" / "partial",
        stage / "cache" / "archives" / "partial",
        fetched,
    ):
        folder.mkdir(parents=True)
    (state / "status").touch()
    (etc / "sources.list").write_text(f"deb [arch=arm64 signed-by={KEYRING}] {mirror} {SUITE} main\n")
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",  # the user _apt cannot enter a private folder
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::Etc::sourcelist": str(etc / "sources.list"),
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": str(etc / "preferences.d"),
        "Dir::State": str(state),
        "Dir::State::status": str(state / "status"),
        "Dir::Cache": str(stage / "cache"),
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    _run([*apt, "-o", "APT::Update::Error-Mode=any", "update"], fetched, "Debian's list of packages for arm64")
    _run([*apt, "download", *PACKAGES], fetched, "Debian's packages for arm64")
    for package in sorted(fetched.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(root)], fetched, package.name)


def _unpack_wheels(stage: Path, place: Path) -> None:
    tags = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, NEWEST_C_LIBRARY + 1))]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    command = [sys.executable, "-m", "pip", "download", *options, *platforms, "--require-hashes", "--dest"]
    _run([*command, str(stage / "pip"), "--requirement", str(WHEELS)], stage, "the runtimes' wheels for aarch64")
    for wheel in sorted((stage / "pip").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)


def _run(command: Sequence[str], folder: Path, what: str) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        said = next((line for line in lines if line.startswith(("E:", "ERROR"))), lines[-1])
        raise NativeBuildError(f"{what} cannot be fetched ({said[:300]})", "Check the network; it is needed once.")

"""The wheel: built from the repository's files, installed beside the dependencies alone, used from another folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from pages import ROOT, repository_files
from s2m_edge.samples import sample_images

pytestmark = pytest.mark.slow

ROOMS = {"s2m_edge": "s2m_edge", **{name: f"s2m_edge/{name}" for name in ("train", "quantize", "targets", "apps")}}
DATA = ("assets", "schemas", "csrc", "native", "recipes")
"""Folders of packages that hold what is no Python, and that commands read."""


def run(*words: object, at: Path) -> str:
    """What a program printed, run without this process's own import paths."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in words], cwd=at, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """As `make wheel` builds it, of a copy: a build leaves folders behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in repository_files():
        if not name.startswith(("tests/", "apps/vectors/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out, ".", at=source)
    [found] = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory) -> Path:
    """The `bin` of an environment with the wheel, which sees this one's packages and nothing of the checkout."""
    place = tmp_path_factory.mktemp("clean") / "environment"
    venv.create(place, with_pip=False)
    paths = {"base": str(place), "platbase": str(place)}
    programs, packages = (Path(sysconfig.get_path(name, vars=paths, scheme="venv")) for name in ("scripts", "purelib"))
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", programs / "python")
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel, at=place)
    return programs


@pytest.fixture(scope="module")
def described(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_every_data_file_of_a_package_is_in_it(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = [
        f"{ROOMS[room]}/{rest}"
        for room, _, rest in (name.partition("/") for name in repository_files())
        if room in ROOMS and set(Path(rest).parts) & set(DATA) and not rest.startswith(("android/", "ios/", "web/"))
    ]
    assert len(wanted) > 50
    assert [name for name in wanted if name not in held] == []
    assert [name for name in held if name.startswith(("tests/", "s2m_edge/apps/vectors/pictures"))] == []


def test_what_an_index_shows_is_complete(described: Message, wheel: Path):
    assert described["License-Expression"]
    assert described["Description-Content-Type"] == "text/markdown"
    assert "Research use only. Not a medical device." in str(described.get_payload())
    with zipfile.ZipFile(wheel) as archive:
        licences = [name for name in archive.namelist() if ".dist-info/licenses/" in name]
    assert sorted(name.rpartition("/")[2] for name in licences) == ["ATTRIBUTION.md", "LICENSE", "LICENSES.txt"]
    assert len(described.get_all("License-File", [])) == len(licences)


def test_the_readme_renders(described: Message):
    """As `twine check` asks, by the renderer of the index."""
    from readme_renderer import markdown

    assert markdown.render(str(described.get_payload())) is not None


def test_it_exports_and_predicts_from_another_folder(
    installed: Path, wheel: Path, small_checkpoint: Path, tmp_path: Path
):
    program = installed / "s2m-edge"
    place = run(installed / "python", "-c", "import s2m_edge; print(s2m_edge.__file__)", at=tmp_path).strip()
    assert Path(place).is_relative_to(installed.parent)
    assert "classes: polyp" in run(program, "info", "polyp", at=tmp_path)
    export = run(program, "export", "-t", "onnx", "--checkpoint", small_checkpoint, "--json", at=tmp_path)
    [exported] = json.loads(export)["bundles"]
    assert exported["parity"]["passed"] is True
    picture = sample_images("polyp")[0]
    found = json.loads(run(program, "predict", exported["folder"], picture, "--json", at=tmp_path))
    assert found["images"][0]["image"] == str(picture)
    ask = "from s2m_edge.installation import install_command; print(install_command('coreml'))"
    assert run(installed / "python", "-c", ask, at=tmp_path).strip() == f"pip install '{wheel}[coreml]'"

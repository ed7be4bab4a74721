"""The phone apps' project files are whole: versions that are used are declared, files that are named are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from s2m_edge.targets.registry import find_target

APPS = Path(__file__).parents[2] / "apps"
ANDROID, IOS = APPS / "android", APPS / "ios"
NAME = "{http://schemas.android.com/apk/res/android}name"


@pytest.fixture(scope="module")
def catalogue() -> dict:
    return tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text(encoding="utf-8"))


def test_every_version_of_the_catalogue_is_used_and_every_used_one_is_there(catalogue: dict):
    entries = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    used = {entry["version"]["ref"] for entry in entries if "version" in entry}
    assert used == set(catalogue["versions"])


def test_build_scripts_use_what_the_catalogue_declares(catalogue: dict):
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in ANDROID.glob("**/build.gradle.kts"))
    used = set(re.findall(r"\blibs\.([a-z0-9.]+)", scripts))
    declared = {name.replace("-", ".") for name in catalogue["libraries"]}
    declared |= {f"plugins.{name.replace('-', '.')}" for name in catalogue["plugins"]}
    assert used == declared


def test_the_android_runtime_is_not_older_than_the_exporter(catalogue: dict):
    from importlib.metadata import requires

    pins = [re.match(r"executorch==([0-9.]+)", text) for text in requires("s2m-edge") or []]
    exporter = next(match.group(1) for match in pins if match)

    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.split(".")]

    assert numbers(catalogue["versions"]["executorch"]) >= numbers(exporter)


def test_the_android_manifest_names_what_is_there():
    manifest = ElementTree.parse(ANDROID / "app/src/main/AndroidManifest.xml").getroot()
    sources = ANDROID / "app/src/main/kotlin/org/s2medge/app"
    activity = manifest.find("application/activity")
    assert activity is not None
    assert (sources / f"{activity.attrib[NAME].lstrip('.')}.kt").is_file()
    permissions = {entry.attrib[NAME] for entry in manifest.iter("uses-permission")}
    assert permissions == {"android.permission.CAMERA"}  # above all, none for the network


def test_android_resources_parse_and_hold_what_the_code_names():
    names = set()
    for path in (ANDROID / "app/src/main/res").rglob("*.xml"):
        for entry in ElementTree.parse(path).getroot().iter("string"):
            names.add(entry.attrib["name"])
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ANDROID / "app/src/main").rglob("*.kt"))
    manifest = (ANDROID / "app/src/main/AndroidManifest.xml").read_text(encoding="utf-8")
    used = set(re.findall(r"R\.string\.(\w+)", code)) | set(re.findall(r"@string/(\w+)", manifest))
    assert used == names


def test_the_xcode_project_takes_in_the_models_as_they_are():
    yaml = pytest.importorskip("yaml")
    project = yaml.safe_load((IOS / "project.yml").read_text(encoding="utf-8"))
    target = project["targets"]["S2MEdge"]
    for source in target["sources"]:
        assert (IOS / source["path"]).is_dir()
    models = next(source for source in target["sources"] if source["path"] == "Models")
    assert (models["type"], models["buildPhase"]) == ("folder", "resources")
    assert (IOS / project["packages"]["S2MEdgeKit"]["path"] / "Package.swift").is_file()
    assert "NSCameraUsageDescription" in target["info"]["properties"]


def test_the_ios_app_runs_on_the_systems_that_its_models_run_on():
    yaml = pytest.importorskip("yaml")
    project = yaml.safe_load((IOS / "project.yml").read_text(encoding="utf-8"))
    version = project["options"]["deploymentTarget"]["iOS"].split(".")[0]
    assert f"iOS {version}" in find_target("coreml").runs_on
    assert f".iOS(.v{version})" in (IOS / "S2MEdgeKit" / "Package.swift").read_text(encoding="utf-8")

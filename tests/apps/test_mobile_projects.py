"""The phone apps' project files are whole: versions that are used are declared, files that are named are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from s2m_edge.files import file_sha256
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


def test_the_gradle_wrapper_is_the_published_one_and_takes_only_the_published_gradle():
    """The jar is a program that runs on whoever builds the app: its SHA-256 is that of gradle.org's list for 8.13."""
    wrapper = ANDROID / "gradle" / "wrapper"
    published = "81a82aaea5abcc8ff68b3dfcb58b3c3c429378efd98e7433460610fecd7ae45f"
    assert file_sha256(wrapper / "gradle-wrapper.jar") == published
    lines = (wrapper / "gradle-wrapper.properties").read_text(encoding="utf-8").splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert properties["distributionUrl"] == r"https\://services.gradle.org/distributions/gradle-8.13-bin.zip"
    assert properties["distributionSha256Sum"] == "20f1b1176237254a6fc204d8434196fa11a4cfb387567519c61556e8710aed78"
    assert os.access(ANDROID / "gradlew", os.X_OK)


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java: the wrapper is not started")
def test_the_gradle_wrapper_starts_and_asks_for_that_gradle(tmp_path: Path):
    environment = {**os.environ, "GRADLE_USER_HOME": str(tmp_path), "JAVA_OPTS": "-Djava.net.useSystemProxies=false"}
    nowhere = ["-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort=9"]
    done = subprocess.run(
        [ANDROID / "gradlew", *nowhere, "-p", ANDROID, "--version"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "gradle-8.13-bin.zip" in done.stdout + done.stderr


@pytest.mark.parametrize(("runtime", "distribution"), [("executorch", "executorch"), ("litert", "ai-edge-litert")])
def test_the_android_runtimes_are_not_older_than_the_exporters(catalogue: dict, runtime: str, distribution: str):
    from importlib.metadata import requires

    pins = [re.match(rf"{distribution}==([0-9.]+)", text) for text in requires("s2m-edge") or []]
    exporter = next(match.group(1) for match in pins if match)

    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.split(".")]

    assert numbers(catalogue["versions"][runtime]) >= numbers(exporter)


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

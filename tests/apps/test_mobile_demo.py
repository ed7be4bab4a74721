"""`s2m-edge demo ios` and `demo android`: whole bundles where the app's build takes them in, and the next commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from s2m_edge.apps import mobile
from s2m_edge.apps.mobile import ANDROID, IOS, MobileApp, next_steps, place_bundles, prepare_mobile_demo
from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
from s2m_edge.checkpoint import read_header
from s2m_edge.cli.main import main
from s2m_edge.contract import CONTRACT_FILE, NOTICE
from s2m_edge.errors import CapabilityError, OutputError
from s2m_edge.targets.bundle import open_bundle

APPS = Path(__file__).parents[2] / "apps"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example bundle under a name of its own."""
    return shutil.copytree(VECTORS / EXAMPLE_BUNDLE, tmp_path / "exports" / "network-coreml")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder as it is in the sources."""
    folder = tmp_path / "Models"
    folder.mkdir()
    (folder / "README.txt").write_text("kept")
    return folder


def test_a_bundle_is_put_in_place_whole(example: Path, models: Path):
    assert place_bundles([open_bundle(example)], models, "coreml") == [models / "network-coreml"]
    assert open_bundle(models / "network-coreml").contract.target == "coreml"
    files = {path.relative_to(example) for path in example.rglob("*")}
    assert {path.relative_to(models / "network-coreml") for path in (models / "network-coreml").rglob("*")} == files


def test_bundles_of_an_earlier_call_go_and_other_files_stay(example: Path, models: Path):
    place_bundles([open_bundle(example)], models, "coreml")
    other = example.rename(example.with_name("another"))
    place_bundles([open_bundle(other)], models, "coreml")
    assert sorted(path.name for path in models.iterdir()) == ["README.txt", "another"]


def test_a_bundle_of_another_target_is_refused_before_anything_is_touched(example: Path, models: Path):
    with pytest.raises(CapabilityError, match="the app takes executorch"):
        place_bundles([open_bundle(example)], models, "executorch")
    assert [path.name for path in models.iterdir()] == ["README.txt"]


@pytest.mark.parametrize("app", [IOS, ANDROID], ids=lambda app: app.name)
def test_without_the_apps_sources_the_remedy_is_named_before_any_export(app: MobileApp, tmp_path: Path):
    with pytest.raises(OutputError, match="clone of the repository"):
        prepare_mobile_demo(app, [None], [], tmp_path / "exports", tmp_path)
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize("app", [IOS, ANDROID], ids=lambda app: app.name)
def test_what_the_next_commands_name_is_there(app: MobileApp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(APPS.parent)
    commands = [command for command, _ in next_steps(app)]
    assert len(commands) == 2
    assert f"apps/{app.name}" in commands[0]
    assert (APPS / app.name / app.sources).is_file()
    assert (APPS / app.name / app.models).is_dir()


def test_the_android_package_that_is_started_is_the_one_that_is_built():
    gradle = (APPS / "android" / "app" / "build.gradle.kts").read_text(encoding="utf-8")
    command = next_steps(ANDROID)[1][0]
    package = command.split()[-1].split("/")[0]
    assert f'applicationId = "{package}"' in gradle
    assert (APPS / "android/app/src/main/kotlin" / package.replace(".", "/") / "MainActivity.kt").is_file()


@pytest.mark.parametrize("app", [IOS, ANDROID], ids=lambda app: app.name)
def test_the_command_puts_the_checkpoints_bundle_in_place_and_says_what_is_next(
    app: MobileApp,
    example: Path,
    small_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """The bundle was exported before (how one is exported otherwise is `find_or_export_bundle`'s affair)."""
    values = json.loads((example / CONTRACT_FILE).read_text())
    values |= {"target": app.target, "precision": app.precision}
    values["checkpoint"]["sha256"] = read_header(small_checkpoint).sha256
    (example / CONTRACT_FILE).write_text(json.dumps(values))
    home = tmp_path / "apps" / app.name
    home.mkdir(parents=True)
    (home / app.sources).write_text("")
    monkeypatch.setattr(mobile, "APPS", tmp_path / "apps")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as stop:
        main(["demo", app.name, "--checkpoint", str(small_checkpoint), "--exports", str(example.parent)])

    assert stop.value.code == 0
    assert open_bundle(home / app.models / "network-coreml").contract.target == app.target
    out = capsys.readouterr().out
    assert "network-coreml" in out
    for command, _ in app.next_commands:
        assert command.format(folder=f"apps/{app.name}") in out
    assert NOTICE in out

"""`s2m-edge demo ios` and `demo android`: whole bundles where the app's build takes them in, and the next commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from s2m_edge.apps.mobile import ANDROID, IOS, MobileApp, next_steps, place_bundles, prepare_mobile_demo
from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
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
    assert "com.apple" not in commands[0]


def test_the_android_package_that_is_started_is_the_one_that_is_built():
    gradle = (APPS / "android" / "app" / "build.gradle.kts").read_text(encoding="utf-8")
    command = next_steps(ANDROID)[1][0]
    package = command.split()[-1].split("/")[0]
    assert f'applicationId = "{package}"' in gradle
    assert (APPS / "android/app/src/main/kotlin" / package.replace(".", "/") / "MainActivity.kt").is_file()


def test_a_missing_bundle_is_exported_and_put_in_place(
    small_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("coremltools")
    from s2m_edge.apps import mobile
    from s2m_edge.cli.main import main

    home = tmp_path / "apps" / "ios"
    home.mkdir(parents=True)
    (home / IOS.sources).write_text("")
    monkeypatch.setattr(mobile, "APPS", tmp_path / "apps")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "ios", "--checkpoint", str(small_checkpoint), "--exports", str(tmp_path / "exports")])
    assert stop.value.code == 0
    placed = home / IOS.models / "small-coreml-float16"
    bundle = open_bundle(placed)
    assert (bundle.contract.target, bundle.contract.precision) == ("coreml", "float16")
    out = capsys.readouterr().out
    assert "small-coreml-float16" in out
    assert "xcodegen generate --spec apps/ios/project.yml" in out
    assert "Research use only. Not a medical device." in out

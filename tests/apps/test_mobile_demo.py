"""`s2m-edge demo ios` and `demo android`: whole bundles where the app's build takes them in, and the next commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from s2m_edge.apps import mobile
from s2m_edge.apps.mobile import ANDROID, IOS, MobileApp, next_steps, place_bundles, prepare_mobile_demo
from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
from s2m_edge.apps.vectors.example import Example
from s2m_edge.checkpoint import read_header
from s2m_edge.cli.main import main
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.golden import GOLDEN_FILE, write_golden
from s2m_edge.errors import CapabilityError, ContractError, OutputError
from s2m_edge.files import file_sha256
from s2m_edge.notice import NOTICE

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
    assert place_bundles([open_bundle(example)], models, ("coreml",)) == [models / "network-coreml"]
    assert open_bundle(models / "network-coreml").contract.target == "coreml"
    files = {path.relative_to(example) for path in example.rglob("*")}
    assert {path.relative_to(models / "network-coreml") for path in (models / "network-coreml").rglob("*")} == files


def test_bundles_of_an_earlier_call_go_and_other_files_stay(example: Path, models: Path):
    place_bundles([open_bundle(example)], models, ("coreml",))
    other = example.rename(example.with_name("another"))
    place_bundles([open_bundle(other)], models, ("coreml",))
    assert sorted(path.name for path in models.iterdir()) == ["README.txt", "another"]


def test_a_bundle_that_would_go_with_a_file_of_its_owners_is_kept_and_nothing_is_touched(example: Path, models: Path):
    place_bundles([open_bundle(example)], models, ("coreml",))
    (models / "network-coreml" / "notes.txt").write_text("years of work")
    other = open_bundle(example.rename(example.with_name("another")))
    for bundle in (other, open_bundle(shutil.copytree(other.folder, other.folder.with_name("network-coreml")))):
        with pytest.raises(OutputError, match=r"network-coreml .* holds notes\.txt"):
            place_bundles([bundle], models, ("coreml",))
    assert sorted(path.name for path in models.iterdir()) == ["README.txt", "network-coreml"]
    assert (models / "network-coreml" / "notes.txt").read_text() == "years of work"


def test_a_bundle_of_another_target_is_refused_before_anything_is_touched(example: Path, models: Path):
    with pytest.raises(CapabilityError, match="the app takes executorch or litert"):
        place_bundles([open_bundle(example)], models, ANDROID.targets)
    assert [path.name for path in models.iterdir()] == ["README.txt"]


def test_only_what_the_contract_names_is_copied(example: Path, models: Path):
    (example / ".DS_Store").write_bytes(b"\0")
    bundle = open_bundle(example)
    (example / "patients.csv").write_text("private")
    (example / "example.package" / "._manifest.json").write_bytes(b"\0")
    [place] = place_bundles([bundle], models, ("coreml",))
    copied = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert copied == {CONTRACT_FILE, *bundle.contract.files}


@pytest.mark.parametrize("damage", ["link", "missing", "changed", "not proved"])
def test_a_bundle_that_the_app_would_refuse_is_not_copied(damage: str, example: Path, models: Path, tmp_path: Path):
    """It was sound when it was opened: what counts is what lies there when it is copied."""
    bundle = open_bundle(example)
    report = example / "parity.json"
    if damage == "link":
        report.rename(tmp_path / "elsewhere.json")
        report.symlink_to(tmp_path / "elsewhere.json")
    elif damage == "missing":
        report.unlink()
    elif damage == "changed":
        report.write_text("{}")
    else:
        values = json.loads((example / CONTRACT_FILE).read_text())
        values["parity"]["passed"] = False
        (example / CONTRACT_FILE).write_text(json.dumps(values))
    reasons = {"link": "link", "missing": "missing-file", "changed": "hash-differs", "not proved": "gate-failed"}
    with pytest.raises(ContractError) as caught:
        place_bundles([bundle], models, ("coreml",))
    assert caught.value.reason == reasons[damage]
    assert [path.name for path in models.iterdir()] == ["README.txt"]


def test_a_folder_named_like_a_path_upwards_lands_inside(example: Path, models: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(example / "example.package")
    assert place_bundles([open_bundle(Path(".."))], models, ("coreml",)) == [models / "network-coreml"]


@pytest.mark.parametrize("name", [".hidden", "-flag", "with space", "turned\u202e"])
def test_a_name_that_no_app_can_hold_is_refused(name: str, example: Path, models: Path):
    bundle = open_bundle(example.rename(example.with_name(name)))
    with pytest.raises(OutputError, match="no name for a model") as caught:
        place_bundles([bundle], models, ("coreml",))
    assert str(caught.value).isprintable()
    assert [path.name for path in models.iterdir()] == ["README.txt"]


def test_two_bundles_of_one_name_do_not_replace_each_other(example: Path, models: Path, tmp_path: Path):
    other = shutil.copytree(example, tmp_path / "others" / "Network-CoreML")
    with pytest.raises(OutputError, match="two of the bundles"):
        place_bundles([open_bundle(example), open_bundle(other)], models, ("coreml",))
    assert [path.name for path in models.iterdir()] == ["README.txt"]


def test_a_link_among_the_models_goes_and_what_it_leads_to_stays(example: Path, models: Path, tmp_path: Path):
    outside = shutil.copytree(example, tmp_path / "outside")
    (models / "linked").symlink_to(outside)
    place_bundles([open_bundle(example)], models, ("coreml",))
    assert sorted(path.name for path in models.iterdir()) == ["README.txt", "network-coreml"]
    assert open_bundle(outside).contract.proved


@pytest.mark.parametrize("app", [IOS, ANDROID], ids=lambda app: app.name)
def test_without_the_apps_sources_the_remedy_is_named_before_any_export(app: MobileApp, tmp_path: Path):
    with pytest.raises(OutputError, match="clone of the repository"):
        prepare_mobile_demo(app, [None], [], tmp_path / "exports", tmp_path)
    assert not (tmp_path / "exports").exists()


def test_a_target_that_the_app_does_not_open_is_refused_before_any_export(tmp_path: Path):
    with pytest.raises(CapabilityError, match="--target executorch or litert"):
        prepare_mobile_demo(ANDROID, [None], [], tmp_path / "exports", targets=["coreml"])
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize("app", [IOS, ANDROID], ids=lambda app: app.name)
def test_what_the_next_commands_name_is_there(app: MobileApp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(APPS.parent)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    commands = [command for command, _ in next_steps(app)]
    assert len(commands) == 2
    assert f"apps/{app.name}" in commands[0]
    assert (APPS / app.name / app.sources).is_file()
    assert (APPS / app.name / app.models).is_dir()


def test_where_the_app_cannot_be_built_the_first_command_copies_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(APPS.parent)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    copying, making, opening = (command for command, _ in next_steps(IOS))
    assert copying == "scp -r apps/ios USER@MAC:s2m-edge-ios"
    assert "s2m-edge-ios/" in making
    assert "s2m-edge-ios/" in opening
    assert len(next_steps(ANDROID)) == 2


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
    values |= {"target": app.targets[0], "precision": app.precision}
    header = read_header(small_checkpoint)
    values["network"]["weights_sha256"] = header.weights_sha256
    stamp = {**Example().stamp, "weights_sha256": header.weights_sha256}
    write_golden(example / GOLDEN_FILE, Example().golden(), stamp)
    values["files"][GOLDEN_FILE] = file_sha256(example / GOLDEN_FILE)
    (example / CONTRACT_FILE).write_text(json.dumps(values))

    def exported(*_: object, **__: object) -> Path:
        raise AssertionError("the bundle that is there was not found")

    monkeypatch.setattr("s2m_edge.apps.prepare._export", exported)
    home = tmp_path / "apps" / app.name
    home.mkdir(parents=True)
    (home / app.sources).write_text("")
    monkeypatch.setattr(mobile, "APPS", tmp_path / "apps")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as stop:
        main(["demo", app.name, "--checkpoint", str(small_checkpoint), "--exports", str(example.parent)])

    assert stop.value.code == 0
    assert open_bundle(home / app.models / "network-coreml").contract.target == app.targets[0]
    out = capsys.readouterr().out
    assert "network-coreml" in out
    assert f"apps/{app.name}" in out
    for command, _ in next_steps(app):
        assert command in out
    assert NOTICE in out

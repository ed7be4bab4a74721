"""What `s2m-edge demo ios` and `demo android` do: put bundles where an app is built from, and say what is next."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.apps.bundles import Notify, find_or_export_bundle
from s2m_edge.contract import CONTRACT_FILE
from s2m_edge.errors import CapabilityError, OutputError
from s2m_edge.files import publish_folder, require_writable, staged_folder
from s2m_edge.precision import Precision
from s2m_edge.targets.bundle import Bundle

APPS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class MobileApp:
    """An app that is built with a phone's own tools.

    Attributes:
        name: of its folder, and of its command.
        target: whose bundles it opens.
        models: the folder inside the app's that its build takes in.
        sources: a file that is there when the sources are.
        precision: what a phone is best given.
        needs: what the next commands need, for people.
        next_commands: what makes the app from there, with what each does.
    """

    name: str
    target: str
    models: str
    sources: str
    precision: Precision
    needs: str
    next_commands: tuple[tuple[str, str], ...]


IOS = MobileApp(
    name="ios",
    target="coreml",
    models="Models",
    sources="project.yml",
    precision="float16",
    needs="on a Mac with Xcode 15 or later and XcodeGen (brew install xcodegen)",
    next_commands=(
        ("xcodegen generate --spec {folder}/project.yml", "makes the Xcode project"),
        ("open {folder}/S2MEdge.xcodeproj", "choose a phone or a simulator, then Product > Run"),
    ),
)
ANDROID = MobileApp(
    name="android",
    target="executorch",
    models="app/src/main/assets/models",
    sources="settings.gradle.kts",
    precision="float32",
    needs="with JDK 17, Gradle 8.9 or later and the Android SDK 35 (ANDROID_HOME), a phone attached",
    next_commands=(
        ("gradle -p {folder} installDebug", "builds the app and installs it"),
        ("adb shell am start -n org.s2medge.app/.MainActivity", "starts it"),
    ),
)


def prepare_mobile_demo(
    app: MobileApp,
    checkpoints: Sequence[Path | None],
    precisions: Sequence[Precision],
    exports: Path,
    folder: Path | None = None,
    notify: Notify = lambda step, done, total: None,
) -> list[Path]:
    """Find or export one bundle per checkpoint and precision, and put exactly these into the app.

    Args:
        precisions: none stands for the app's own.
        exports: where bundles are looked for and exported to.
        folder: of the app; the one beside this file by default.

    Returns:
        The bundles' folders inside the app.

    Raises:
        OutputError: the app's sources are not here, or its folder cannot be written.
        S2MEdgeError: whatever stands in the way of an export.
    """
    home = APPS / app.name if folder is None else folder
    if not (home / app.sources).is_file():
        raise OutputError(
            f"the sources of the {app.name} app are not at {home}",
            "Use a clone of the repository, installed with pip install -e .",
        )
    models = home / app.models
    require_writable(models)
    wanted = list(dict.fromkeys(precisions)) or [app.precision]
    bundles = [
        find_or_export_bundle(app.target, checkpoint, precision, folder=exports, notify=notify)
        for checkpoint in checkpoints
        for precision in wanted
    ]
    return place_bundles(bundles, models, app.target)


def place_bundles(bundles: Sequence[Bundle], models: Path, target: str) -> list[Path]:
    """Copy whole bundles into `models`, and remove the bundles that were put there before.

    Raises:
        CapabilityError: one is of another target.
        OutputError: the folder cannot be written.
    """
    for bundle in bundles:
        if bundle.contract.target != target:
            raise CapabilityError(
                f"{bundle.folder} is a bundle for {bundle.contract.target}, the app takes {target}",
                f"Export one with --target {target}.",
            )
    placed = []
    for bundle in bundles:
        place = models / bundle.folder.name
        with staged_folder(place) as stage:
            shutil.copytree(bundle.folder, stage, dirs_exist_ok=True)
            publish_folder(stage, place)
        placed.append(place)
    for path in models.iterdir():
        if path not in placed and (path / CONTRACT_FILE).is_file():
            shutil.rmtree(path)
    return placed


def next_steps(app: MobileApp, folder: Path | None = None) -> list[tuple[str, str]]:
    """The commands that follow, each with what it does; the folder as seen from here where it lies below."""
    home = APPS / app.name if folder is None else folder
    home = home.resolve()
    here = Path.cwd()
    shown = home.relative_to(here) if home.is_relative_to(here) else home
    return [(command.format(folder=shown.as_posix()), what) for command, what in app.next_commands]

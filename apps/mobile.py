"""What `s2m-edge demo ios` and `demo android` do: put bundles where an app is built from, and say what is next."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.apps.prepare import Notify, find_or_export_bundle
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.bundle_files import BUNDLE, copy_bundle
from s2m_edge.deploy.contract import CONTRACT_FILE, require_plain_path, shown
from s2m_edge.deploy.precision import Precision
from s2m_edge.errors import CapabilityError, ContractError, OutputError
from s2m_edge.files import output_error, publish_folder, require_replaceable, require_writable, staged_folder

APPS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class MobileApp:
    """An app that is built with a phone's own tools.

    Attributes:
        name: of its folder, and of its command.
        targets: whose bundles it opens, the default first.
        models: the folder inside the app's that its build takes in.
        sources: a file that is there when the sources are.
        precision: what a phone is best given.
        needs: what the next commands need, for people.
        next_commands: what makes the app from there, with what each does.
        system: the only one that builds it, as `platform.system` calls it; empty: any.
    """

    name: str
    targets: tuple[str, ...]
    models: str
    sources: str
    precision: Precision
    needs: str
    next_commands: tuple[tuple[str, str], ...]
    system: str = ""

    def built_here(self) -> bool:
        return self.system in ("", platform.system())


IOS = MobileApp(
    name="ios",
    targets=("coreml",),
    models="Models",
    sources="project.yml",
    precision="float16",
    needs="on a Mac with Xcode 15 or later and XcodeGen (brew install xcodegen)",
    next_commands=(
        ("xcodegen generate --spec {folder}/project.yml", "makes the Xcode project"),
        ("open {folder}/S2MEdge.xcodeproj", "choose a phone or a simulator, then Product > Run"),
    ),
    system="Darwin",
)
ANDROID = MobileApp(
    name="android",
    targets=("executorch", "litert"),
    models="app/src/main/assets/models",
    sources="settings.gradle.kts",
    precision="float32",
    needs="with JDK 17, Gradle 8.13 or later and the Android SDK 36 (ANDROID_HOME), a phone attached",
    next_commands=(
        ("{folder}/gradlew -p {folder} installDebug", "builds the app and installs it"),
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
    targets: Sequence[str] = (),
) -> list[Path]:
    """Find or export one bundle per checkpoint, precision and target, and put exactly these into the app.

    Args:
        precisions: none stands for the app's own.
        exports: where bundles are looked for and exported to.
        folder: of the app; the one beside this file by default.
        targets: of those that the app opens; none stands for its first.

    Returns:
        The bundles' folders inside the app.

    Raises:
        CapabilityError: the app does not open bundles of a target.
        OutputError: the app's sources are not here, or its folder cannot be written.
        S2MEdgeError: whatever stands in the way of an export.
    """
    chosen = list(dict.fromkeys(targets)) or [app.targets[0]]
    for target in chosen:
        if target not in app.targets:
            raise CapabilityError(
                f"the {app.name} app opens no bundles for {target}", f"Choose --target {' or '.join(app.targets)}."
            )
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
        find_or_export_bundle(target, checkpoint, precision, folder=exports, notify=notify)
        for checkpoint in checkpoints
        for target in chosen
        for precision in wanted
    ]
    return place_bundles(bundles, models, app.targets)


def place_bundles(bundles: Sequence[Bundle], models: Path, targets: Sequence[str]) -> list[Path]:
    """Copy whole bundles into `models`, and remove the bundles that were put there before.

    What is copied is what a contract names, and the copy is opened again before it takes its place: the app refuses
    what is not whole or not proved, and nobody should learn that on a phone.

    Raises:
        CapabilityError: one is of another target.
        ContractError: one is not whole, holds a link, or did not pass its gate.
        OutputError: a folder's name is none that an app can hold, two bundles have the same, `models` cannot be
            written, or a bundle that would go holds a file that is no part of it.
    """
    for bundle in bundles:
        if bundle.contract.target not in targets:
            raise CapabilityError(
                f"{bundle.folder} is a bundle for {bundle.contract.target}, the app takes {' or '.join(targets)}",
                f"Export one with --target {' or '.join(targets)}.",
            )
    places = [models / _plain_name(bundle.folder) for bundle in bundles]
    for place in places:
        # Phones' file systems may not tell capitals from small letters.
        if [other.name.lower() for other in places].count(place.name.lower()) > 1:
            raise OutputError(f"two of the bundles are called {place.name}", "Rename one's folder.")
    visible = [path for path in sorted(models.iterdir()) if not path.name.startswith(".")]
    leaving = [path for path in visible if path not in places and (path / CONTRACT_FILE).is_file()]
    for path in leaving:
        if not path.is_symlink():
            require_replaceable(path, BUNDLE)
    for bundle, place in zip(bundles, places, strict=True):
        with staged_folder(place, BUNDLE) as stage:
            copy_bundle(bundle.folder, stage)
            open_bundle(stage)
            publish_folder(stage, place, BUNDLE)
    _remove(leaving, models)
    return places


def _plain_name(folder: Path) -> str:
    """A bundle folder's name, where it stays inside the folder that it is copied to."""
    name = folder.resolve().name
    try:
        require_plain_path(name, str(folder))
    except ContractError:
        raise OutputError(
            f"{shown(name)} is no name for a model in an app",
            "Rename the bundle's folder to letters, digits, dots, dashes and underscores.",
        ) from None
    return name


def _remove(leaving: Sequence[Path], models: Path) -> None:
    """Remove bundles from `models`. A link goes alone: what it leads to is not the app's."""
    try:
        for path in leaving:
            if path.is_symlink():
                path.unlink()
            else:
                shutil.rmtree(path)
    except OSError as error:
        raise output_error(models, error) from None


def next_steps(app: MobileApp, folder: Path | None = None) -> list[tuple[str, str]]:
    """The commands that follow, each with what it does; the folder as seen from here where it lies below. On a system
    that cannot build the app the first copies it to one that can, and the others are for there."""
    home = APPS / app.name if folder is None else folder
    home = home.resolve()
    here = Path.cwd()
    shown = (home.relative_to(here) if home.is_relative_to(here) else home).as_posix()
    steps: list[tuple[str, str]] = []
    if not app.built_here():
        copy = f"s2m-edge-{app.name}"
        steps.append(
            (f"scp -r {shown} USER@MAC:{copy}", "from here: the app's folder with the bundles in it, and no more")
        )
        shown = copy
    return [*steps, *((command.format(folder=shown), what) for command, what in app.next_commands)]

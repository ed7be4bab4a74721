"""What `s2m-edge demo board` does: a folder with program, libraries and bundle, ready to be copied to a board."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from s2m_edge import console
from s2m_edge.apps.prepare import EXPORTS, find_or_export_bundle
from s2m_edge.apps.runner.build import PROGRAM, CrossBuild, console_runner, find_cross_build, runtime_libraries
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.bundle_files import bundle_files, copy_bundle
from s2m_edge.deploy.precision import SpectralLowering
from s2m_edge.errors import ContractError, LoweringError, NativeBuildError, ParityError
from s2m_edge.files import FolderKind, exactly, publish_folder, require_replaceable, staged_folder
from s2m_edge.native import build_library
from s2m_edge.notice import NOTICE
from s2m_edge.samples import sample_images

TARGET = "executorch"
BUNDLE = "bundle"
RESULTS = "results"


def board_files(folder: Path) -> list[str]:
    """The files of a folder for a board: what `assemble` puts there, and what `try_out` makes of the samples."""
    if not (folder / PROGRAM).is_file():
        return []
    tried = [f"{RESULTS}/{path.stem}-{kind}.png" for path in sample_images(None) for kind in ("mask", "overlay")]
    ours = [PROGRAM, *tried, *(f"{BUNDLE}/{name}" for name in bundle_files(folder / BUNDLE))]
    return [*(exactly(name) for name in ours), "lib/libexecutorch*"]


BOARD = FolderKind("a folder with the board's program", board_files)


def run_board_demo(
    *,
    bundle: Path | None,
    checkpoint: Path | None,
    spectral: SpectralLowering | None,
    architecture: str | None,
    exports: Path = EXPORTS,
    out: Path,
    as_json: bool = False,
) -> None:
    """Put the folder `out` together; on this machine's own architecture also run it on the bundled samples.

    Args:
        bundle: of the target executorch; that of the checkpoint, exported where need be, if left out.
        architecture: of the board; this machine's if left out.

    Raises:
        ParityError: the program's self-test fails here.
        S2MEdgeError: whatever else stands in the way; see the called functions.
    """
    cross = None if architecture is None else find_cross_build(architecture)
    require_replaceable(out, BOARD)
    with console.progress_bar("demo board") as update:
        update("building the program", 0, 0)
        program = build_library(console_runner(cross))
        if bundle is not None:
            chosen = open_bundle(bundle)
            if chosen.contract.target != TARGET:
                raise ContractError(
                    f"{bundle} is of the target {chosen.contract.target}, and the program runs executorch bundles",
                    f"Make one with s2m-edge export --target {TARGET}.",
                )
        else:
            chosen = find_or_export_bundle(TARGET, checkpoint, spectral=spectral, folder=exports, notify=update)
        update("copying", 0, 0)
        assemble(out, program, runtime_libraries(cross), chosen)
    if not as_json:
        console.output.print(f"program, libraries and bundle: {out}", markup=False)
    if cross is None:
        try_out(out, chosen, as_json)
    elif as_json:
        console.print_json({"folder": str(out), "architecture": cross.architecture, "verdict": "built, not executed"})
    if not as_json:
        print_next(out, cross)
        console.output.print(NOTICE)


def assemble(out: Path, program: Path, libraries: list[Path], bundle: Bundle) -> None:
    """The folder `out`: the program, `lib/` where it looks for its libraries first, and the bundle.

    Raises:
        OutputError: it cannot be written, or holds something else.
        InputError: a library is missing.
    """
    with staged_folder(out, BOARD) as folder:
        (folder / "lib").mkdir()
        shutil.copy2(program, folder / PROGRAM)
        for library in libraries:
            shutil.copy2(library, folder / "lib" / library.name)
        copy_bundle(bundle.folder, folder / BUNDLE)
        publish_folder(folder, out, BOARD)


def try_out(out: Path, bundle: Bundle, as_json: bool) -> None:
    """Run the program on the bundled samples of the checkpoint's kind, and show what it prints.

    Raises:
        ParityError: its self-test fails. LoweringError: it does not run.
    """
    domain = bundle.contract.values["checkpoint"]["provenance"].get("domain")
    images = [str(path) for path in sample_images(domain) or sample_images(None)]
    command = [str(out / PROGRAM), str(out / BUNDLE), *images, "--out", str(out / RESULTS)]
    try:
        done = subprocess.run(
            [*command, *(["--json"] if as_json else [])], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise NativeBuildError(f"{command[0]} cannot be run here ({error.strerror})", "Build it again.") from None
    lines = done.stderr.strip().splitlines()
    warned = [line for line in lines if line.startswith("warning: ")]
    if done.returncode:
        others = [line for line in lines if line not in warned] or [f"it ended with {done.returncode}"]
        reason = others[-1].removeprefix("error: ")
        failure = ParityError if done.returncode == 1 else LoweringError
        raise failure(f"the board's program failed here: {reason}")
    for line in warned:  # of the guard
        console.status.print(line, markup=False, soft_wrap=True)
    if as_json:
        console.print_json({"folder": str(out), "run": json.loads(done.stdout)})
    else:
        console.output.print(done.stdout.strip().removesuffix(NOTICE).strip(), markup=False)


def print_next(out: Path, cross: CrossBuild | None) -> None:
    """The commands that come next."""
    if cross is None:
        lines = [f"next: {out / PROGRAM} {out / BUNDLE} IMAGE...  (--help says more)"]
    else:
        lines = [
            f"built for {cross.architecture}, not executed here. On the board:",
            f"  scp -r {out} USER@BOARD:",
            f"  ssh USER@BOARD ./{out.name}/{PROGRAM} ./{out.name}/{BUNDLE} --self-test --benchmark 20",
            "Here, emulated, which takes minutes (apps/runner/README.md):",
            f"  {' '.join(cross.emulate())} {out / PROGRAM} {out / BUNDLE} --self-test --threads 1",
        ]
    for line in lines:
        console.output.print(line, markup=False)

"""`s2m-edge demo`: the apps. Each command imports its own app when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.options import BUNDLED, JsonOption, precisions_of
from s2m_edge.deploy.precision import DEFAULT_PRECISION

if TYPE_CHECKING:
    from s2m_edge.apps.mobile import MobileApp

app = typer.Typer(help="Start an app on an exported bundle, exporting it first if need be.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@app.command("web")
def web(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(help="ONNX bundle folders to offer; by default those of --checkpoint and --precision."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}. Repeatable."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help=f"{precisions_of('onnx')}; several with commas; float32,float16 by default, to be compared."),
    ] = None,
    exports: Annotated[Path, typer.Option(help="Folder where bundles are looked for and exported to.")] = Path(
        "exports"
    ),
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1; 8352 by default, or a free one if that is taken.", min=0)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write app and bundles as a static site to this folder instead of serving.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build the app again even if it is up to date.")] = False,
) -> None:
    """Serve the web app with its models on this machine's loopback address, until Ctrl-C.

    Builds the app with npm when that has not been done. Nothing leaves this machine.
    """
    from s2m_edge.apps.web.command import run_web_demo
    from s2m_edge.cli.options import parse_each, parse_precision
    from s2m_edge.deploy.precision import PRECISIONS

    run_web_demo(
        bundles=bundles or [],
        checkpoints=checkpoint or [None],
        precisions=parse_each(precision, PRECISIONS, parse_precision),
        exports=exports,
        port=port,
        out=out,
        open_browser=browser,
        rebuild=rebuild,
    )


MobileCheckpoint = Annotated[
    list[Path] | None,
    typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}. Repeatable."),
]
MobileExports = Annotated[Path, typer.Option(help="Folder where bundles are looked for and exported to.")]


@app.command("ios")
def ios(
    checkpoint: MobileCheckpoint = None,
    precision: Annotated[
        list[str] | None, typer.Option(help=f"{precisions_of('coreml')}; float16 by default. Repeatable.")
    ] = None,
    exports: MobileExports = Path("exports"),
    as_json: JsonOption = False,
) -> None:
    """Put Core ML bundles into the iOS app, and say how to build it.

    The bundles that an earlier call put there are replaced.
    """
    from s2m_edge.apps.mobile import IOS

    _prepare_mobile(IOS, checkpoint, precision, exports, as_json)


@app.command("android")
def android(
    checkpoint: MobileCheckpoint = None,
    precision: Annotated[
        list[str] | None, typer.Option(help=f"{precisions_of('executorch', 'litert')}; float32 by default. Repeatable.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Runtime in the app: executorch (default) or litert. Repeatable.")
    ] = None,
    exports: MobileExports = Path("exports"),
    as_json: JsonOption = False,
) -> None:
    """Put bundles for ExecuTorch or LiteRT into the Android app, and say how to build it.

    The bundles that an earlier call put there are replaced.
    """
    from s2m_edge.apps.mobile import ANDROID

    _prepare_mobile(ANDROID, checkpoint, precision, exports, as_json, target)


def _prepare_mobile(
    app: MobileApp,
    checkpoint: list[Path] | None,
    precision: list[str] | None,
    exports: Path,
    as_json: bool,
    target: list[str] | None = None,
) -> None:
    from rich.text import Text

    from s2m_edge import console
    from s2m_edge.apps.mobile import next_steps, prepare_mobile_demo
    from s2m_edge.cli.options import parse_each, parse_precision
    from s2m_edge.deploy.precision import PRECISIONS
    from s2m_edge.notice import NOTICE

    precisions = parse_each(precision, PRECISIONS, parse_precision)
    with console.progress_bar(f"demo {app.name}") as update:
        placed = prepare_mobile_demo(
            app, checkpoint or [None], precisions, exports, notify=update, targets=target or ()
        )
    if as_json:
        steps = [{"command": command, "what": what} for command, what in next_steps(app)]
        console.print_json({"bundles": [str(folder) for folder in placed], "next": steps, "notice": NOTICE})
        return
    for folder in placed:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        console.output.print(f"in place: {folder} ({size / 1e6:.1f} MB)")
    console.output.print(f"\nNext, {app.needs}:")
    for command, what in next_steps(app):
        console.output.print(Text.assemble("  ", (command, "bold"), f"  ({what})"))
    console.output.print(f"\n{NOTICE}")


@app.command("board")
def board(
    bundle: Annotated[
        Path | None, typer.Argument(help="ExecuTorch bundle folder; by default that of --checkpoint.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}.")] = None,
    spectral: Annotated[
        str | None, typer.Option(help="matmul (default) or custom: the spectral filter as one op, run by our kernel.")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option("--arch", help="Of the board: aarch64; this machine's if left out.")
    ] = None,
    exports: Annotated[Path, typer.Option(help="Folder where bundles are looked for and exported to.")] = Path(
        "exports"
    ),
    out: Annotated[Path, typer.Option(help="Folder to put together.")] = Path("board"),
    as_json: JsonOption = False,
) -> None:
    """Build the C++ console program and put it with its libraries and a bundle into one folder, for a board.

    Needs a C++17 compiler and CMake. For this machine's architecture the program is also run on sample images.
    """
    from s2m_edge.apps.runner.board import run_board_demo
    from s2m_edge.cli.options import parse_spectral

    run_board_demo(
        bundle=bundle,
        checkpoint=checkpoint,
        spectral=parse_spectral(spectral),
        architecture=architecture,
        exports=exports,
        out=out,
        as_json=as_json,
    )


@app.command("desktop")
def desktop(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Images, volumes or folders to open: PNG, JPEG, TIFF, NIfTI, DICOM.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="OpenVINO bundle folder; by default that of --checkpoint.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}.")] = None,
    precision: Annotated[str, typer.Option(help=f"{precisions_of('openvino')}.")] = DEFAULT_PRECISION,
    spectral: Annotated[str | None, typer.Option(help="matmul (default) or custom.")] = None,
    device: Annotated[str, typer.Option(help="CPU, GPU, NPU or AUTO, as far as OpenVINO finds them here.")] = "CPU",
    exports: Annotated[Path, typer.Option(help="Folder where bundles are looked for and exported to.")] = Path(
        "exports"
    ),
) -> None:
    """Open the desktop app: images and volumes, overlay, batch, export. Needs the pip extra desktop (PySide6)."""
    from s2m_edge.apps.desktop.command import run_desktop_demo
    from s2m_edge.cli.options import parse_precision, parse_spectral

    code = run_desktop_demo(
        images=images or [],
        bundle=bundle,
        checkpoint=checkpoint,
        precision=parse_precision(precision),
        spectral=parse_spectral(spectral),
        device=device,
        exports=exports,
    )
    raise typer.Exit(code)

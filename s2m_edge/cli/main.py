"""`s2m-edge`: the entry point. Commands import their work when they run, so that --help answers at once."""

from __future__ import annotations

import signal
import sys
from typing import Any

import typer

from s2m_edge import __version__
from s2m_edge.cli import (
    average,
    benchmark,
    data,
    demo,
    doctor,
    evaluate,
    export,
    gate,
    info,
    parity,
    predict,
    quantize,
    reference,
    sensitivity,
    targets,
    train,
)
from s2m_edge.errors import S2MEdgeError

FAULT = 70  # sysexits.h, EX_SOFTWARE: a script must not take a fault of the program for a wrong request
INTERRUPTED = 130

app = typer.Typer(
    name="s2m-edge",
    help="S2M-Net from a checkpoint to the edge, with proof that the answer did not change.\n\n"
    "Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"s2m-edge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


TRAINING, DEPLOYMENT, LOOKING = "Train and evaluate", "Deploy", "Look"

app.add_typer(data.app, name="data", rich_help_panel=TRAINING)
app.command("train", rich_help_panel=TRAINING)(train.train)
app.command("average", rich_help_panel=TRAINING)(average.average)
app.command("quantize", rich_help_panel=TRAINING)(quantize.quantize)
app.command("sensitivity", rich_help_panel=TRAINING)(sensitivity.sensitivity)
app.command("gate", rich_help_panel=TRAINING)(gate.gate)
app.command("evaluate", rich_help_panel=TRAINING)(evaluate.evaluate)
app.add_typer(reference.app, name="reference", rich_help_panel=TRAINING)
app.command("export", rich_help_panel=DEPLOYMENT)(export.export)
app.command("parity", rich_help_panel=DEPLOYMENT)(parity.parity)
app.command("predict", rich_help_panel=DEPLOYMENT)(predict.predict)
app.command("benchmark", rich_help_panel=DEPLOYMENT)(benchmark.benchmark)
app.add_typer(demo.app, name="demo", rich_help_panel=DEPLOYMENT)
app.command("targets", rich_help_panel=LOOKING)(targets.targets)
app.command("info", rich_help_panel=LOOKING)(info.info)
app.command("doctor", rich_help_panel=LOOKING)(doctor.doctor)


def _interrupt(signal_number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a parity gate or a training run failed, 2 a wrong
    request, 70 a fault of the program itself, 130 interrupted.

    No traceback reaches a user: every foreseen failure is an S2MEdgeError and prints as one line.
    """
    from rich.console import Console

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, _interrupt)  # a polite kill cleans up like Ctrl-C
    try:
        code = app(args=arguments, standalone_mode=False)
    except S2MEdgeError as error:
        errors.print("[bold red]error:[/]", end=" ")
        errors.print(str(error), markup=False)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except MemoryError:
        errors.print("[bold red]error:[/] out of memory. Close other programs, or use a smaller --size.")
        sys.exit(2)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the parser
            _print_usage_error(errors, error)
            sys.exit(2)
        errors.print("[bold red]error:[/]", end=" ")
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no further word"
        errors.print(
            f"unexpected {type(error).__name__} ({reason}). Please report it with the output of s2m-edge doctor.",
            markup=False,
        )
        sys.exit(FAULT)
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code by itself
        errors.print("interrupted; nothing was left half-written")
        # CPython notes a KeyboardInterrupt that passes through exec() of a text (torch.fx has such frames), and then
        # ends by SIGINT instead of with our code, although it was caught. Any later exec() takes the note back.
        exec("")
    sys.exit(code if isinstance(code, int) else 0)


def _print_usage_error(errors: Any, error: Any) -> None:
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "s2m-edge"
    errors.print("[bold red]error:[/]", end=" ")
    errors.print(f"{error.format_message()} Try {path} --help.", markup=False)


if __name__ == "__main__":
    main()

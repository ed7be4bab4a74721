"""`s2m-edge`: the entry point. Commands import their work when they run, so that --help answers at once."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings

import typer

from s2m_edge import __version__, console, interrupts
from s2m_edge.cli import (
    average,
    benchmark,
    check,
    data,
    demo,
    diff,
    doctor,
    evaluate,
    export,
    gate,
    guard,
    info,
    parity,
    predict,
    quantize,
    reference,
    report,
    sensitivity,
    serve,
    spec,
    targets,
    train,
)
from s2m_edge.cli.help import add_help
from s2m_edge.errors import S2MEdgeError
from s2m_edge.native import cache_folder

FAULT = 70  # sysexits.h, EX_SOFTWARE: a script must not take a fault of the program for a wrong request
INTERRUPTED = 128 + signal.SIGINT

app = typer.Typer(
    name="s2m-edge",
    help="Segmentation networks, S2M-Net first, from training to the edge, with proof that the answer did not "
    "change.\n\n"
    "Research use only, not a medical device.",
    no_args_is_help=True,
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
app.command("guard", rich_help_panel=TRAINING)(guard.guard)
app.command("evaluate", rich_help_panel=TRAINING)(evaluate.evaluate)
app.add_typer(reference.app, name="reference", rich_help_panel=TRAINING)
app.command("export", rich_help_panel=DEPLOYMENT)(export.export)
app.command("parity", rich_help_panel=DEPLOYMENT)(parity.parity)
app.command("report", rich_help_panel=DEPLOYMENT)(report.report)
app.command("diff", rich_help_panel=DEPLOYMENT)(diff.diff)
app.command("check", rich_help_panel=DEPLOYMENT)(check.check)
app.command("predict", rich_help_panel=DEPLOYMENT)(predict.predict)
app.command("benchmark", rich_help_panel=DEPLOYMENT)(benchmark.benchmark)
app.add_typer(spec.app, name="spec", rich_help_panel=DEPLOYMENT)
app.command("serve", rich_help_panel=DEPLOYMENT)(serve.serve)
app.add_typer(demo.app, name="demo", rich_help_panel=DEPLOYMENT)
app.command("targets", rich_help_panel=LOOKING)(targets.targets)
app.command("info", rich_help_panel=LOOKING)(info.info)
app.command("doctor", rich_help_panel=LOOKING)(doctor.doctor)
add_help(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a parity gate or a training run failed, 2 a wrong
    request, 70 a fault of the program itself, 130 interrupted, 143 interrupted by SIGTERM.

    No traceback reaches a user: every foreseen failure is an S2MEdgeError and prints as one line. After a signal the
    command ends as interrupted, whatever became of the exception on its way; a second one ends it at once.

    Standard output that its reader closed (`| head -1`) changes nothing; one that is full costs a command that did well
    its exit code, and the work is done.
    """
    # matplotlib, which several libraries import, would keep its list of fonts in a folder of its own.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    with interrupts.listening(), console.lasting_streams() as out, warnings.catch_warnings():
        # What readers remark on a file's header is for programmers; what matters of it is an error of ours.
        warnings.filterwarnings("ignore", module=r"(monai|pydicom|nibabel)\b")
        try:
            code = _run(arguments)
        except KeyboardInterrupt:
            code = INTERRUPTED
        if code == INTERRUPTED or interrupts.received() is not None:
            code = interrupts.exit_code()
            console.status.print(interrupts.last_words())
            # CPython notes a KeyboardInterrupt that passes through exec() of a text (torch.fx has such frames), and
            # then ends by SIGINT instead of with our code, although it was caught. Any later exec() takes the note
            # back.
            exec("")
        out.flush()
        if out.lost is not None:
            console.print_error(
                f"standard output cannot be written ({out.lost.strerror}), and what was to be printed is lost. Files "
                "are in place; send the output elsewhere."
            )
            code = code or 2
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """The exit code; errors are printed.

    Raises:
        KeyboardInterrupt: the command was asked to end.
    """
    try:
        code = app(args=arguments, prog_name="s2m-edge", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except S2MEdgeError as error:
        interrupts.heed(error)
        console.print_error(error)
        return error.exit_code
    except MemoryError:
        console.print_error("out of memory. Close other programs, or use a smaller --size.")
        return 2
    except Exception as error:
        interrupts.heed(error)
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the parser
            path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "s2m-edge"  # type: ignore[attr-defined]
            console.print_error(f"{error.format_message()} Try {path} --help.")  # type: ignore[attr-defined]
            return 2
        if isinstance(error, RecursionError) and _reads_a_file(error):
            console.print_error("a file that was given is nested too deep, or refers to itself. Mend the file.")
            return 2
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            console.print_error(f"the name {error.filename} is too long for this system. Use a shorter one.")
            return 2
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no further word"
        console.print_error(
            f"unexpected {type(error).__name__} ({reason}). Please report it with the output of s2m-edge doctor."
        )
        return FAULT
    return code if isinstance(code, int) else 0


def _reads_a_file(error: BaseException) -> bool:
    """Whether an exception comes out of a reader of JSON or YAML."""
    step = error.__traceback__
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__", "")).split(".")[0] in ("json", "yaml"):
            return True
        step = step.tb_next
    return False


if __name__ == "__main__":
    main()

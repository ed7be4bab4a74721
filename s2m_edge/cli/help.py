"""What every command's help has beside its options: examples, and names of values that a person reads.

One definition each. docs/commands.md shows the same examples; `python -m s2m_edge.cli.help` prints its block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo

REFERENCE = "references/HASH.safetensors"
ONNX, OPENVINO = "exports/s2mnet-polyp-352-onnx-float32", "exports/s2mnet-polyp-352-openvino-float32"

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "export": (
        ("-t onnx", "the bundled polyp network, float32, to exports/"),
        ("-t coreml --checkpoint vessel", "another bundled network, or a checkpoint file of yours"),
        ("-t all --images my/images/", "every target; parity measured on your own images"),
        ("-t coreml,openvino,onnx --precision float16", "several targets"),
        ("-t openvino --spectral custom", "the spectral filter as one op, run by our native kernel"),
        ("-t onnx --network my_networks:unet --weights unet.safetensors --spec spec.yaml", "a network of yours"),
    ),
    "predict": (
        (f"{OPENVINO} colon.png scan.dcm --out predictions", "masks and overlays in the pictures' own size"),
        (f"{ONNX} my/images/ --json", "a folder; the figures as JSON"),
        (
            f"{OPENVINO} --manifest studies.csv --out archive --workers 4",
            "by the thousand; goes on after a stop",
        ),
        (f"{ONNX} SERIES_FOLDER --format dicom-seg,nifti,csv", "whole studies, every slice"),
        (f"{ONNX} ct.nii.gz --slices 10:40", "some slices of a volume, as PNG"),
    ),
    "parity": (
        (f"{ONNX} --images my/images/", "the artifact against the network on your images"),
        (f"{ONNX} --locate", "block by block: where it leaves the network first"),
        (f"{OPENVINO} --locate --limit 1 --out located.html", "the same with a picture along the network"),
    ),
    "report": (
        (f"{ONNX} --out report.html", "one page for a reviewer: verdict, margins, pictures, spectra"),
        (f"{ONNX} {OPENVINO} --gate gate.json --benchmark benchmark.json", "several bundles, accuracy and time"),
        ("polyp", "a network alone: its card, and what its spectral filters keep"),
    ),
    "diff": (
        (f"before/{ONNX.split('/')[-1]} {ONNX}", "figures, gates, contract and tools of two bundles"),
        ("polyp my.safetensors --html diff.html", "two checkpoints, weights block by block"),
    ),
    "check": (
        ("", "what s2m-edge-check.yaml asks for, to check/"),
        ("ci/polyp.yaml --base before/check --out check", "compared with the base branch's results"),
        ("-t onnx --record cuda", "one target, also against the network as a GPU computes it"),
    ),
    "benchmark": (
        ("--quick", "a first table in about two minutes"),
        ("--json now.json --compare before.json", "what a change brought"),
        ("--throughput", "also images per second with several under way"),
        ("--cpu-isa avx2", "as on an older processor"),
        ("--spectral all --profile --chart chart.svg", "both lowerings, and where the time goes"),
        ("--bundles exports --bundles other/exports", "bundles that are there already, of any network"),
    ),
    "evaluate": (
        (f"{ONNX} --data DATA", "Dice, HD95 and more on the labelled images of the split test"),
        ("vessel --data DATA --all-images", "a folder without a split"),
        ("left-ventricle --data DATA --by patient", "Dice and volumes of whole patients, intervals over patients"),
    ),
    "gate": ((f"polyp {ONNX} --data DATA", "what an artifact loses on labelled images, stage by stage"),),
    "guard": (("DATA --checkpoint my.safetensors --out my-guard.safetensors", "learn what usual pictures look like"),),
    "train": (
        ("polyp --data DATA", "by a recipe; the run is in runs/polyp"),
        ("--resume --out runs/polyp", "after an interruption"),
    ),
    "average": (("a.safetensors b.safetensors --out mean.safetensors", "two runs from one start, in one network"),),
    "quantize": (("polyp --data DATA --method ptq", "an int8 checkpoint, calibrated and not fine-tuned"),),
    "sensitivity": (("polyp --data DATA", "what each block costs in int8"),),
    "reference record": (
        ("--device cpu --images my/images/", "into references/, under its hash; what moved since the last time"),
    ),
    "reference list": (("references", "what was recorded by which device, and that no file changed"),),
    "reference verify": ((REFERENCE, "the same network on this machine, judged by the float32 gate"),),
    "reference compare": ((f"before/HASH.safetensors {REFERENCE}", "what moved, picture by picture"),),
    "data check": (("DATA", "what is wrong with a data set, before a training finds out"),),
    "spec new": (("spec.yaml", "with comments, to be filled in"),),
    "spec check": (("spec.yaml", "what it says"),),
    "serve": (
        (f"{OPENVINO} --out studies", "DICOM studies in by C-STORE on the loopback address, segmentations out"),
        (
            f"{OPENVINO} --out studies --allow CT1 --send-to ORTHANC@127.0.0.1:4242",
            "from one sender alone; results also to a node",
        ),
    ),
    "demo web": (("--checkpoint vessel", "an installable page on this machine's loopback address"),),
    "demo desktop": (("my/images/", "a window on OpenVINO: pictures, volumes, batches, export"),),
    "demo board": (("--arch aarch64", "a C++ program, its libraries and a bundle in one folder, for an Arm board"),),
    "demo ios": (("", "a Core ML bundle into apps/ios, and the commands that build the app with Xcode"),),
    "demo android": (("", "a bundle into apps/android, and the commands that build it with Gradle"),),
    "targets": (("", "what each target has, and what is installed"),),
    "info": (
        (ONNX, "ten lines of what matters"),
        ("polyp --all", "all of it: a checkpoint's training, figures and hashes"),
    ),
    "doctor": (("", "what is missing here, and the command that gets it"),),
}
"""By command: arguments and what they do, the first one the plainest."""

VALUE_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("size",), "PIXELS"),
    **dict.fromkeys(("bundle", "bundles", "data", "calibration", "exports", "folder", "unlabelled"), "FOLDER"),
    **dict.fromkeys(("guard", "chart", "markdown", "html", "json_file", "reference", "float_checkpoint"), "FILE"),
    **dict.fromkeys(("checkpoint", "checkpoints", "start", "teacher"), "CHECKPOINT"),
    **dict.fromkeys(("limit", "threads", "rounds", "every", "epochs", "batch_size", "steps", "workers"), "COUNT"),
    **dict.fromkeys(("nodes", "devices", "validation_images", "max_pixels", "classes", "weight_limit"), "COUNT"),
    **dict.fromkeys(("threshold", "distillation"), "SHARE"),
    **dict.fromkeys(("target", "precision", "spectral", "cpu_isa"), "NAME"),
    **dict.fromkeys(
        ("split", "preset", "plane", "seg_type", "device", "loss", "method", "accelerator", "strategy"), "NAME"
    ),
    "architecture": "NAME",
    "by": "NAME",
    "engine": "NAME",
    "manifest": "FILE",
    "ray_address": "ADDRESS",
    "case_pattern": "PATTERN",
    "codes": "FILE",
    "compare": "FILE",
    "formats": "NAME[,NAME]",
    "hours": "HOURS",
    "images": "FOLDER",
    "labels": "LIST",
    "learning_rate": "RATE",
    "out": "FOLDER",
    "path": "FILE",
    "phase": "PHASE",
    "port": "PORT",
    **dict.fromkeys(("ae_title", "allow"), "AETITLE"),
    "host": "ADDRESS",
    "inbox": "FOLDER",
    "max_gigabytes": "GIGABYTES",
    "max_instance": "MEGABYTES",
    "queue": "COUNT",
    "associations": "COUNT",
    "quiet_seconds": "SECONDS",
    "send_to": "AETITLE@HOST:PORT",
    "recipe": "RECIPE",
    "seed": "NUMBER",
    "slice_index": "NUMBER",
    "slices": "FIRST:END",
    "tolerance": "PIXELS",
    "volume": "NUMBER",
    # Where one name stands for something else in one command.
    "average out": "FILE",
    "check base": "FOLDER|FILE",
    "check config": "CONFIG",
    "check label": "NAME",
    "check record": "NAME",
    "check target": "NAME[,NAME]",
    "benchmark target": "NAME[,NAME]",
    "benchmark precision": "NAME[,NAME]",
    "diff after": "B",
    "diff before": "A",
    "diff tolerance": "SHARE",
    "demo desktop images": "PICTURE",
    "demo web precision": "NAME[,NAME]",
    "export target": "NAME[,NAME]",
    "gate out": "FILE",
    "guard out": "FILE",
    "info path": "CHECKPOINT|BUNDLE",
    "parity out": "FILE",
    "predict images": "PICTURE|FOLDER",
    "quantize images": "COUNT",
    "quantize out": "FILE",
    "reference compare after": "B",
    "reference compare before": "A",
    "report benchmark": "FILE",
    "report gate": "FILE",
    "report out": "FILE",
    "sensitivity images": "COUNT",
    "sensitivity out": "FILE",
    "train classes": "NAME[,NAME]",
}
"""What help calls a value, in place of its type: by parameter, or by command and parameter."""


EXIT_CODES: Mapping[str, str] = {
    "0": "done",
    "1": "a parity or accuracy gate or a training run failed; data check found something wrong",
    "2": "a wrong request",
    "70": "a fault of the program itself",
    "130, 143": "interrupted by Ctrl-C, by SIGTERM",
}
"""Of every command; docs/commands.md says more of each."""


def example_lines(command: str) -> list[str]:
    """A command's examples as lines for a shell, comments in one column."""
    lines = [(f"s2m-edge {command} {words}".strip(), comment) for words, comment in EXAMPLES[command]]
    width = min(max(len(line) for line, _ in lines), 60)
    return [f"{line:<{width}}  # {comment}" for line, comment in lines]


def add_help(app: typer.Typer) -> None:
    """Give every command of an app its examples, and its values their names."""
    for name, info in commands_of(app):
        shown = [f"  s2m-edge {name} {words}\n      [dim]{comment}[/dim]" for words, comment in EXAMPLES[name]]
        info.help = _unwrapped(str(info.callback.__doc__))
        info.epilog = "\n".join(["[bold]Examples[/bold]", *shown])
        info.cls = type("Command", (_Named, TyperCommand), {"words": name})
    codes = [f"  {code}  {meaning}" for code, meaning in EXIT_CODES.items()]
    app.info.epilog = "\n".join(["[bold]Exit codes[/bold]", *codes])
    for group in (app, *(entry.typer_instance for entry in app.registered_groups)):
        assert group is not None
        group.info.cls = _Group


def commands_of(app: typer.Typer) -> Iterator[tuple[str, CommandInfo]]:
    """Every command of an app and of its groups, by its words."""
    for info in app.registered_commands:
        yield str(info.name), info
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for words, info in commands_of(group.typer_instance):
            yield f"{group.name} {words}", info


def _unwrapped(text: str) -> str:
    """A docstring whose paragraphs are one line each: help wraps them by the terminal's width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


class _Named:
    """A command whose help calls values by `VALUE_NAMES`, and what takes no value by its option alone."""

    words = ""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            name = str(parameter.name)
            takes_none = getattr(parameter, "is_flag", False) or name in ("install_completion", "show_completion")
            if takes_none:
                parameter.metavar = ""
            elif parameter.metavar is None:
                parameter.metavar = VALUE_NAMES.get(f"{self.words} {name}", VALUE_NAMES.get(name))
            if parameter.param_type_name == "argument":  # its name stands for its type
                parameter.display_type_rich = lambda ctx: None
        return parameters


class _Group(_Named, TyperGroup):
    pass


if __name__ == "__main__":
    print("\n".join(line for command in EXAMPLES for line in example_lines(command)))

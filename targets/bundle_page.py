"""What a bundle says to who finds it: a short README.md, and the commands that follow an export.

The commands are in the registry's rows; the code that runs an artifact in its target's language is `usage.md` in the
target's folder, with @NAMES@ for what the contract says.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from s2m_edge.deploy.contract import CONTRACT_FILE, Contract
from s2m_edge.deploy.golden import GOLDEN_FILE
from s2m_edge.deploy.guard import GUARD_FILE
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.page.exported import REPORT_FILE
from s2m_edge.targets.measure.parity.report import PARITY_FILE, ParityReport
from s2m_edge.targets.registry import find_target

PAGE_FILE = "README.md"
USAGE_FILE = "usage.md"
WINDOWS = (
    "This network slides over a picture at its own resolution: outside Python each window of it is run so, and the "
    "contract says where windows lie and how they are blended."
)


def next_commands(target: str, folder: Path) -> list[tuple[str, str]]:
    """The commands that follow an export of a bundle, each with what it does."""
    bundle = shlex.quote(str(folder))
    return [(command.format(bundle=bundle), what) for command, what in find_target(target).next_commands]


def bundle_page(contract: Contract, report: ParityReport, name: str, *, guarded: bool) -> str:
    """The README.md of a bundle.

    Args:
        name: of its folder.
        guarded: whether a guard is part of it.
    """
    values, target = contract.values, find_target(contract.target)
    fitted = values["preprocessing"]
    files = [
        (values["artifact"]["file"], f"the artifact, {values['artifact']['bytes'] / 1e6:.1f} MB"),
        (CONTRACT_FILE, "what has to be done before and after it, and every file's SHA-256"),
        (GOLDEN_FILE, "recorded inputs and the network's answers, for a self-test"),
        (PARITY_FILE, "how the artifact was compared with the network"),
        (REPORT_FILE, "the same as a page for people: margins, pictures, spectra, hashes"),
        *([(GUARD_FILE, "what the training's pictures look like, to warn of others")] if guarded else []),
    ]
    shape = " x ".join(str(side) for side in values["output"]["shape"])
    lines = [
        f"# {name}",
        "",
        f"> {NOTICE}",
        "",
        f"{_plain(values['network']['architecture'])} for {target.title}, {contract.precision}: pictures of "
        f"{fitted['height']} x {fitted['width']}, {values['input']['colour']}; classes: "
        f"{', '.join(_plain(entry.name) for entry in contract.classes)}. Runs on {target.runs_on}.",
        "",
        *([f"{target.precision_notes[contract.precision]}.\n"] if contract.precision in target.precision_notes else []),
        "| against the network in PyTorch | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in _figures(report)),
        "",
        "## Running it",
        "",
        "Python, with everything that the contract asks for:",
        "",
        "```python",
        "import s2m_edge",
        "",
        f'print(s2m_edge.load_bundle("{name}").predict("picture.png"))',
        "```",
        "",
        _usage(contract),
        f"The answer is probabilities, {shape}; what is decided from them, and how it comes to the picture's own size, "
        f"is in `{CONTRACT_FILE}`.",
        *([WINDOWS] if fitted["window"] is not None else []),
        "",
        "## Files",
        "",
        *(f"- `{file}`: {what}" for file, what in files),
        "",
    ]
    return "\n".join(lines)


def _figures(report: ParityReport) -> list[tuple[str, str]]:
    summary: dict[str, Any] = report.to_dict()["summary"]
    return [
        ("verdict", f"{report.verdict}, {'passed' if report.passed else 'FAILED'}"),
        ("pictures", f"{len(report.images)}, the object on {report.images_with_foreground}"),
        ("largest probability error", f"{summary['max_probability_error']:.1e}"),
        ("least mask agreement", f"{summary['min_mask_agreement']:.5f}"),
        ("least Dice", f"{summary['min_mask_dice']:.4f}"),
    ]


def _usage(contract: Contract) -> str:
    values = contract.values
    fitted = values["preprocessing"]
    text = (Path(__file__).parent / contract.target / USAGE_FILE).read_text(encoding="utf-8")
    words = {
        "ARTIFACT": values["artifact"]["file"],
        "INPUT": values["input"]["name"],
        "OUTPUT": values["output"]["name"],
        **{name.upper(): fitted[name] for name in ("channels", "height", "width")},
    }
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def _plain(text: str) -> str:
    """A name for a page: it can be anything, and begins no markup."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)

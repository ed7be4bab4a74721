"""Damaged bundles, one fault each, with the reason that every reader gives for refusing them."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.apps.vectors.example import Example, write_example
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.golden import GOLDEN_FILE, write_golden
from s2m_edge.files import file_sha256, write_bytes, write_json
from s2m_edge.imaging.window import Window
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.parity.report import PARITY_FILE

REFUSALS = "refusals"
INDEX_FILE = "index.json"
SOUND = Example(height=12, width=16, target="onnx", artifact={"s2mnet.onnx": b"no runtime opens this\n"}, pictures=1)
ARTIFACT = "s2mnet.onnx"
INTENSITY = ("preprocessing", "intensity")
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Refusal:
    """One bundle.

    Attributes:
        name: of its folder.
        why: what is wrong with it.
        reason: of `ContractError`; None: nothing is wrong, and it opens.
        change: what is done to a sound bundle.
        needs: "listing": only a reader that can list the folder sees it; "links": only one that can see links.
        example: what the sound bundle is of.
    """

    name: str
    why: str
    reason: str | None
    change: Change
    needs: str | None = None
    example: Example = SOUND


def write_refusals(folder: Path) -> None:
    """Write every bundle and the index anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for case in CASES:
        write_example(folder / case.name, case.example)
        case.change(folder / case.name)
    entries = [{"name": case.name, "why": case.why, "reason": case.reason, "needs": case.needs} for case in CASES]
    write_bytes(folder / INDEX_FILE, (json.dumps({"notice": NOTICE, "cases": entries}, indent=1) + "\n").encode())


def entry(*path: str | int, value: Any) -> Change:
    """Set an entry of the contract."""

    def change(folder: Path) -> None:
        values = json.loads((folder / CONTRACT_FILE).read_text())
        inner: Any = values
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        write_json(folder / CONTRACT_FILE, values)

    return change


def window_from(low: float, high: float) -> Change:
    """A window of the deep values."""
    return entry(*INTENSITY, value={"rule": "window", "low": low, "high": high, "over": "slice"})


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def text(old: str, new: str) -> Change:
    """Replace a part of the contract's text, for what no JSON value can say."""

    def change(folder: Path) -> None:
        content = (folder / CONTRACT_FILE).read_text(encoding="utf-8")
        assert old in content
        write_bytes(folder / CONTRACT_FILE, content.replace(old, new, 1).encode())

    return change


def contract_bytes(content: bytes) -> Change:
    return lambda folder: write_bytes(folder / CONTRACT_FILE, content)


def content_of(name: str, content: bytes, *, hashed: bool = False) -> Change:
    """Write a file; `hashed`: and its hash into the contract."""

    def change(folder: Path) -> None:
        write_bytes(folder / name, content)
        if hashed:
            entry("files", name, value=file_sha256(folder / name))(folder)

    return change


def without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def unlisted(name: str) -> Change:
    """Take a file and its hash away."""

    def change(folder: Path) -> None:
        values = json.loads((folder / CONTRACT_FILE).read_text())
        del values["files"][name]
        write_json(folder / CONTRACT_FILE, values)
        (folder / name).unlink()

    return change


def golden_bytes(make: Callable[[bytes], bytes]) -> Change:
    """Damage the golden file, and hash it as it is then: whoever trusts hashes alone believes it."""

    def change(folder: Path) -> None:
        content_of(GOLDEN_FILE, make((folder / GOLDEN_FILE).read_bytes()), hashed=True)(folder)

    return change


def golden(metadata: dict[str, str] | None = None, **values: Callable[[Any], Any]) -> Change:
    """Other values or metadata in the golden file, hashed as it is then."""

    def change(folder: Path) -> None:
        changed = [
            replace(item, **{name: make(getattr(item, name)) for name, make in values.items()})
            for item in SOUND.golden()
        ]
        write_golden(folder / GOLDEN_FILE, changed, {**SOUND.stamp, **(metadata or {})})
        entry("files", GOLDEN_FILE, value=file_sha256(folder / GOLDEN_FILE))(folder)

    return change


def counted(count: str) -> Change:
    def make(content: bytes) -> bytes:
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        header["__metadata__"]["count"] = count
        written = json.dumps(header).encode()
        return struct.pack("<Q", len(written)) + written + content[8 + length :]

    return golden_bytes(make)


def linked(folder: Path) -> None:
    (folder / PARITY_FILE).unlink()
    (folder / PARITY_FILE).symlink_to(f"../sound/{PARITY_FILE}")


def not_finite(logits: Any) -> Any:
    changed = logits.copy()
    changed[0, 0, 0] = np.nan
    return changed


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def header_length(stated: int) -> Callable[[bytes], bytes]:
    return lambda content: struct.pack("<Q", stated) + content[8:]


def without_last_row(logits: Any) -> Any:
    return np.ascontiguousarray(logits[:, :-1])


def below_zero(logits: Any) -> Any:
    return -np.abs(logits) - 1


NOTHING: Change = lambda folder: None  # noqa: E731
HUGE = [1, 1, 1_000_000, 1_000_000]

CASES: tuple[Refusal, ...] = (
    Refusal("sound", "nothing is wrong", None, NOTHING),
    Refusal(
        "droppings",
        "what file managers leave in a folder is no file of the bundle's",
        None,
        both(content_of(".DS_Store", b"\0"), content_of("._contract.json", b"\0")),
    ),
    Refusal("window", "nothing is wrong; it slides", None, NOTHING, example=replace(SOUND, window=Window())),
    Refusal("no-contract", "the folder has no contract.json", "no-bundle", without(CONTRACT_FILE)),
    Refusal("empty-contract", "contract.json has no byte", "not-json", contract_bytes(b"")),
    Refusal(
        "cut-contract", "contract.json ends in the middle", "not-json", contract_bytes(b'{"schema_version": 2, "tar')
    ),
    Refusal(
        "not-utf-8", "contract.json is not UTF-8", "not-json", contract_bytes(b'{"schema_version": 2, "a": "\xff\xfe"}')
    ),
    Refusal("not-a-number", "NaN is no JSON", "not-json", text('"threshold": 0.5', '"threshold": NaN')),
    Refusal("deep", "a thousand brackets", "not-json", contract_bytes(b"[" * 1000 + b"]" * 1000)),
    Refusal(
        "duplicate-key",
        "precision stands there twice",
        "duplicate-key",
        text('"precision":', '"precision": "int8",\n "precision":'),
    ),
    Refusal("list", "JSON, but no object", "not-a-contract", contract_bytes(b"[]\n")),
    Refusal("version-as-text", 'schema_version is "2"', "not-a-contract", entry("schema_version", value="2")),
    Refusal("older-version", "schema_version is 1", "older-version", entry("schema_version", value=1)),
    Refusal("newer-version", "schema_version is 3", "newer-version", entry("schema_version", value=3)),
    Refusal("unknown-target", "a target that nobody knows", "unknown-target", entry("target", value="tensorrt")),
    Refusal(
        "unknown-precision", "a precision that nobody knows", "unknown-precision", entry("precision", value="int4")
    ),
    Refusal("no-notice", "the notice is another", "damaged", entry("notice", value="Approved.")),
    Refusal("unknown-field", "a field that the schema does not have", "damaged", entry("plugin", value="x")),
    Refusal("infinite", "1e999 is JSON, and infinite", "damaged", text('"threshold": 0.5', '"threshold": 1e999')),
    Refusal("threshold", "a threshold above 1", "damaged", entry("postprocessing", "threshold", value=1.5)),
    Refusal(
        "huge-mean", "a mean that float32 cannot hold", "damaged", entry("preprocessing", "mean", value=[1e39, 0, 0])
    ),
    Refusal(
        "no-deviation", "a division by zero", "damaged", entry("preprocessing", "standard_deviation", value=[1, 0, 1])
    ),
    Refusal("few-means", "fewer means than channels", "damaged", entry("preprocessing", "mean", value=[0.5])),
    Refusal(
        "letterbox", "a fit that the schema does not have", "damaged", entry("preprocessing", "fit", value="letterbox")
    ),
    Refusal("no-window", "it slides, and does not say how", "damaged", entry("preprocessing", "fit", value="window")),
    Refusal(
        "intensity-rule", "a rule that the schema does not have", "damaged", entry(*INTENSITY, "rule", value="display")
    ),
    Refusal("intensity-word", "a word for the rule", "damaged", entry(*INTENSITY, value="display")),
    Refusal("intensity-unknown", "a further entry", "damaged", entry(*INTENSITY, "gamma", value=2.2)),
    Refusal("intensity-short", "a rule without its numbers", "damaged", entry(*INTENSITY, value={"rule": "window"})),
    Refusal("intensity-over", "percentiles over a study", "damaged", entry(*INTENSITY, "over", value="study")),
    Refusal("intensity-percentile", "a percentile above 100", "damaged", entry(*INTENSITY, "high", value=100.5)),
    Refusal("intensity-negative", "a percentile below 0", "damaged", entry(*INTENSITY, "low", value=-1)),
    Refusal("intensity-empty", "both percentiles alike", "damaged", entry(*INTENSITY, "low", value=100)),
    Refusal("intensity-turned", "a window whose end is before its beginning", "damaged", window_from(300, -200)),
    Refusal("intensity-wide", "a window that float32 cannot hold", "damaged", window_from(-1, 2e9)),
    Refusal("intensity-window", "nothing: a window of Hounsfield units", None, window_from(-200, 300)),
    Refusal(
        "spacing",
        "a spacing, which no reader can follow yet",
        "damaged",
        entry("preprocessing", "spacing", value=[0.5, 0.5]),
    ),
    Refusal(
        "overlap",
        "windows that never get on",
        "damaged",
        entry("preprocessing", "window", "overlap", value=1),
        example=replace(SOUND, window=Window()),
    ),
    Refusal(
        "other-shape",
        "an output of another size than the input",
        "damaged",
        entry("output", "shape", value=[1, 1, 12, 17]),
    ),
    Refusal("activation", "softmax over one output", "damaged", entry("output", "activation", value="softmax")),
    Refusal("grey-of-three", "a grey input of three channels", "damaged", entry("input", "colour", value="grey")),
    Refusal(
        "twice-normalised",
        "8-bit levels that were normalised before",
        "damaged",
        entry("input", "normalised_inside", value=False),
    ),
    Refusal(
        "class-count",
        "two classes for one output",
        "damaged",
        entry("classes", value=[{"name": "a", "colour": [0, 0, 0]}] * 2),
    ),
    Refusal("colour", "a colour of 256", "damaged", entry("classes", 0, "colour", value=[256, 0, 0])),
    Refusal(
        "control-characters",
        "an escape sequence in a class's name",
        "damaged",
        entry("classes", 0, "name", value="a\u001b[2Jb"),
    ),
    Refusal(
        "right-to-left",
        "a class's name that turns the writing",
        "damaged",
        entry("classes", 0, "name", value="polyp\u202e0 %"),
    ),
    Refusal("no-golden", "no golden inputs are named", "damaged", unlisted(GOLDEN_FILE)),
    Refusal(
        "artifact-unnamed",
        "the artifact is none of the files",
        "damaged",
        entry("artifact", "file", value="other.onnx"),
    ),
    Refusal("limit", "a limit of the gate above 1", "damaged", entry("parity", "gate", "mask_agreement", value=2)),
    Refusal(
        "huge",
        "a picture of a terapixel",
        "too-large",
        both(
            entry("output", "shape", value=HUGE),
            entry("preprocessing", "height", value=HUGE[2]),
            entry("preprocessing", "width", value=HUGE[3]),
        ),
    ),
    Refusal(
        "many-classes",
        "257 outputs, and labels have 8 bits",
        "too-large",
        both(
            entry("output", "shape", value=[1, 257, 12, 16]),
            entry("output", "activation", value="softmax"),
            entry("classes", value=[{"name": f"c{index}", "colour": [0, 0, 0]} for index in range(256)]),
        ),
    ),
    Refusal(
        "much-output",
        "an output of two gigabytes, each side allowed",
        "too-large",
        both(
            entry("output", "shape", value=[1, 8, 8192, 8192]),
            entry("output", "activation", value="softmax"),
            entry("preprocessing", "height", value=8192),
            entry("preprocessing", "width", value=8192),
            entry("classes", value=[{"name": f"c{index}", "colour": [0, 0, 0]} for index in range(7)]),
        ),
    ),
    Refusal(
        "many-files",
        "1001 files",
        "too-large",
        lambda folder: entry("files", value={f"f{index}": "0" * 64 for index in range(1001)})(folder),
    ),
    Refusal("parent", "a file in the folder above", "outside-bundle", entry("files", "../index.json", value="0" * 64)),
    Refusal(
        "parent-inside",
        "a path that goes up in its middle",
        "outside-bundle",
        entry("files", "a/../../index.json", value="0" * 64),
    ),
    Refusal("absolute", "an absolute path", "outside-bundle", entry("files", "/etc/passwd", value="0" * 64)),
    Refusal("drive", "a path with a drive", "outside-bundle", entry("files", "C:evil", value="0" * 64)),
    Refusal("backslash", "a path for Windows", "outside-bundle", entry("files", "a\\..\\..\\b", value="0" * 64)),
    Refusal("hidden", "a hidden folder", "outside-bundle", entry("files", ".git/config", value="0" * 64)),
    Refusal("link", "parity.json is a link to another bundle's", "link", linked, needs="links"),
    Refusal("no-artifact", "the artifact is not there", "missing-file", without(ARTIFACT)),
    Refusal("no-golden-file", "golden.safetensors is not there", "missing-file", without(GOLDEN_FILE)),
    Refusal("no-parity-file", "parity.json is not there", "missing-file", without(PARITY_FILE)),
    Refusal(
        "extra-file",
        "a file that the contract does not name",
        "extra-file",
        content_of("notes.txt", b"mine\n"),
        needs="listing",
    ),
    Refusal(
        "artifact-changed",
        "a byte more in the artifact",
        "hash-differs",
        content_of(ARTIFACT, b"no runtime opens this \n"),
    ),
    Refusal(
        "golden-changed",
        "golden outputs of another export",
        "hash-differs",
        lambda folder: write_golden(folder / GOLDEN_FILE, SOUND.golden(), {**SOUND.stamp, "device": "another"}),
    ),
    Refusal(
        "parity-changed", "figures that were made nicer", "hash-differs", content_of(PARITY_FILE, b'{"passed": true}\n')
    ),
    Refusal("gate-failed", "the gate was breached", "gate-failed", entry("parity", "passed", value=False)),
    Refusal(
        "not-measured",
        "parity was measured on no picture",
        "not-measured",
        both(entry("parity", "images", value=0), entry("parity", "images_with_foreground", value=0)),
    ),
    Refusal(
        "nothing-shown",
        "no picture showed the object",
        "not-measured",
        entry("parity", "images_with_foreground", value=0),
    ),
    Refusal(
        "golden-cut",
        "golden.safetensors ends in the middle, and is hashed so",
        "golden-damaged",
        golden_bytes(half),
    ),
    Refusal(
        "golden-header",
        "its header says that it is longer than the file",
        "golden-damaged",
        golden_bytes(header_length(10**6)),
    ),
    Refusal(
        "golden-header-huge",
        "its header says 2^63 bytes",
        "golden-damaged",
        golden_bytes(header_length(2**63)),
    ),
    Refusal("golden-count", "it says that it holds no picture", "golden-damaged", counted("0")),
    Refusal("golden-many", "it says that it holds more pictures than it has", "golden-damaged", counted("7")),
    Refusal(
        "golden-shape",
        "outputs of another size",
        "golden-damaged",
        golden(logits=without_last_row),
    ),
    Refusal(
        "golden-foreign", "outputs of another network's weights", "golden-foreign", golden({"weights_sha256": "1" * 64})
    ),
    Refusal("golden-not-finite", "a reference that is no number", "golden-not-finite", golden(logits=not_finite)),
    Refusal(
        "golden-empty",
        "no mask shows anything",
        "golden-empty",
        golden(logits=below_zero, mask=np.zeros_like),
    ),
)

"""The kinds of files that readers of ours take, each with a sound one, and ways to damage it.

tools/stress_readers.py reads them by the thousand, tests/tools/test_damaged_files.py a few of each with Hypothesis.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS

BUNDLE, SOUND = VECTORS / EXAMPLE_BUNDLE, VECTORS / REFUSALS / "sound"
VALUES = ["0", "-1", "1e999", "1e38", "99999999999", "0.5", "null", "[]", "{}", '"x"', "true", "[[[[0]]]]", "NaN"]
STRANGE: tuple[Any, ...] = (
    [],
    {},
    [[1]],
    {"a": 1},
    "",
    "x",
    "\x1b[2J",
    10**30,
    -(10**30),
    -1,
    0,
    0.5,
    1e308,
    None,
    True,
)
STRANGE += (float("nan"), float("inf"))
VALUE = re.compile(rb'(?<=: )("[^"]*"|-?[0-9.]+|true|false|null)|(?<=":)("[^"]*"|-?[0-9.]+|true|false|null)')


@dataclass(frozen=True)
class Kind:
    """A kind of file: its contents, what it is called, and what reads it."""

    contents: list[bytes]
    file: str
    read: Callable[[Path], object]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A file with a JSON or YAML value exchanged, at any depth, or with a few bytes changed, cut or doubled, headers
    mostly."""
    way = chance.randrange(4)
    if way == 0:
        return _exchanged(content, chance) or _bytes_changed(content, chance)
    values = list(VALUE.finditer(content[:20_000])) if way == 1 else []
    if not values:
        return _bytes_changed(content, chance)
    found, value = chance.choice(values), chance.choice(VALUES).encode()
    changed = content[: found.start()] + value + content[found.end() :]
    if content[8:9] != b"{":
        return changed
    length = int.from_bytes(content[:8], "little") + len(changed) - len(content)  # of a safetensors header
    return length.to_bytes(8, "little") + changed[8:]


def with_metadata(content: bytes, changes: dict[str, str]) -> bytes:
    """A safetensors file with other metadata."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = {**header.get("__metadata__", {}), **changes}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[start:]


def _exchanged(content: bytes, chance: random.Random) -> bytes | None:
    """A JSON file, its last line, or a JSON text of a safetensors header with one value exchanged; None of others."""
    if content[8:9] == b"{":
        start = 8 + int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8:start]).get("__metadata__", {})
        texts = sorted(key for key, text in metadata.items() if text.startswith("{"))
        key = chance.choice(texts or sorted(metadata) or ["none"])
        found = metadata.get(key, "")
        other = json.dumps(_other(json.loads(found), chance)) if texts else str(chance.choice(STRANGE))
        return with_metadata(content, {key: other})
    head, _, last = content.rstrip(b"\n").rpartition(b"\n") if content.startswith(b'{"') else (b"", b"", content)
    try:
        return head + (b"\n" if head else b"") + json.dumps(_other(json.loads(last), chance)).encode() + b"\n"
    except ValueError:
        return None


def _other(values: Any, chance: random.Random) -> Any:
    """JSON values with one of them, at any depth, exchanged for something else, taken out or called otherwise."""
    inside = list(values) if isinstance(values, dict) else list(range(len(values))) if isinstance(values, list) else []
    if not inside or chance.random() < 0.2:
        return chance.choice(STRANGE)
    key = chance.choice(inside)
    changed = values.copy()
    if chance.random() < 0.15:
        del changed[key]
    elif isinstance(changed, dict) and chance.random() < 0.1:
        changed[f"{key}x"] = changed.pop(key)
    else:
        changed[key] = _other(changed[key], chance)
    return changed


def _bytes_changed(content: bytes, chance: random.Random) -> bytes:
    file = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        reach = len(file) if chance.random() < 0.3 else min(len(file), 700)
        at, kind = chance.randrange(max(reach, 1)), chance.randrange(5)
        if kind == 0:
            del file[at : at + chance.randint(1, 16)]
        elif kind == 1:
            file[at:at] = file[at : at + chance.randint(1, 64)]
        elif kind == 2:
            del file[at + chance.randrange(1000) :]
        elif at < len(file):
            file[at] = chance.choice((0, 255, file[at] ^ 1 << chance.randrange(8), chance.randrange(256)))
    return bytes(file)


def _contracts(folder: Path) -> Kind:
    from s2m_edge.deploy.contract import read_contract

    contents = [(path / "contract.json").read_bytes() for path in (BUNDLE, SOUND)]
    return Kind(contents, "contract.json", lambda path: read_contract(path.parent))


def _golden_inputs(folder: Path) -> Kind:
    from s2m_edge.deploy.contract import read_contract
    from s2m_edge.deploy.golden import GOLDEN_FILE, require_golden_of

    contract = read_contract(BUNDLE)
    content = (BUNDLE / GOLDEN_FILE).read_bytes()
    return Kind([content], GOLDEN_FILE, lambda path: require_golden_of(path, contract))


def _references(folder: Path) -> Kind:
    from s2m_edge.deploy.golden import GOLDEN_FILE, read_golden
    from s2m_edge.deploy.recording import Record, inputs_hash, parse_record, record_content

    golden, _ = read_golden(BUNDLE / GOLDEN_FILE)
    stamp = {"network": "x", "device": "cpu", "threshold": "0.5", "precision": "float32"}
    stamp |= {
        "weights_sha256": "0" * 64,
        "spec_sha256": "1" * 64,
        "inputs_sha256": inputs_hash([e.image for e in golden]),
    }
    content = record_content(Record(tuple(golden), "2026-01-01T00:00:00+00:00", 1e-6, stamp))
    return Kind([content], "x.safetensors", parse_record)


def _guards(folder: Path) -> Kind:
    from s2m_edge.deploy.guard import read_guard

    return Kind(
        [path.read_bytes() for path in sorted(VECTORS.glob("guard-*.safetensors"))], "x.safetensors", read_guard
    )


def _read_checkpoint(path: Path) -> None:
    from s2m_edge.checkpoint import load_network, network_spec, read_header

    header = read_header(path)
    network_spec(header)
    load_network(header)


def _small_network() -> Any:
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet

    small = S2MNetConfig(size=96, encoder_channels=(4, 4, 4, 4, 4), stem_channels=4, head_channels=(4, 4), expansion=1)
    return S2MNet(small)


PROVENANCE = {"domain": "polyp", "class_names": ["polyp"], "fit": "stretch"}


def _checkpoints(folder: Path) -> Kind:
    from s2m_edge.checkpoint import save_checkpoint

    save_checkpoint(folder / "small", _small_network(), PROVENANCE)
    return Kind([(folder / "small").read_bytes()], "x.safetensors", _read_checkpoint)


def _quantized_checkpoints(folder: Path) -> Kind:
    from s2m_edge.checkpoint import save_quantized_checkpoint
    from s2m_edge.network.fake_quantized import QuantizationConfig, quantized_network

    network = quantized_network(_small_network().eval(), QuantizationConfig())
    save_quantized_checkpoint(folder / "int8", network, QuantizationConfig(), PROVENANCE)
    return Kind([(folder / "int8").read_bytes()], "x.safetensors", _read_checkpoint)


def _teachers(folder: Path) -> Kind:
    import numpy as np
    from safetensors.numpy import save

    from s2m_edge.train.teacher.config import TeacherConfig
    from s2m_edge.train.teacher.file import FORMAT, FORMAT_VERSION, read_teacher_header

    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "provenance": "{}"}
    metadata["config"] = json.dumps(TeacherConfig().to_dict())
    return Kind([save({"x": np.zeros(1, np.float32)}, metadata=metadata)], "x.safetensors", read_teacher_header)


def _weights(folder: Path) -> Kind:
    import torch
    from torch import nn

    from s2m_edge.deploy.factory import read_tensors

    torch.save(nn.Conv2d(3, 3, 3).state_dict(), folder / "weights")
    return Kind([(folder / "weights").read_bytes()], "x.pt", read_tensors)


def _pictures(folder: Path) -> Kind:
    from s2m_edge.imaging.read import read_image

    contents = [path.read_bytes() for path in sorted((VECTORS / "pictures").iterdir()) if path.suffix != ".json"]
    return Kind(contents, "x.bin", read_image)


def _parity_reports(folder: Path) -> Kind:
    from s2m_edge.targets.measure.changes import open_side

    image = {"name": "x.png", "max_probability_error": 1e-6, "mean_probability_error": 1e-7, "mask_agreement": 1.0}
    image |= {"mask_dice": 1.0, "mask_fraction": 0.1, "milliseconds": 3.0}
    values: dict[str, Any] = {"target": "onnx", "precision": "float32", "spectral": "matmul", "verdict": "executed"}
    values |= {"edge_device": "a", "reference_device": "b", "images": [image, image], "tools": {"torch": "2"}}
    values |= {"hashes": {"weights": "0" * 64}, "observations": {}, "images_given": 2, "remark": ""}
    return Kind([json.dumps(values).encode()], "parity.json", open_side)


def _specifications(folder: Path) -> Kind:
    from s2m_edge.deploy.spec import read_spec

    text = """spec_version: 1
name: x
architecture: x
input: {height: 96, width: 64, channels: 3, mean: [0.1, 0.2, 0.3], fit: "window", window: {overlap: 0.5, sigma: 0.1}}
classes: ["a", {name: "b", colour: [1, 2, 3]}]
activation: "softmax"
provenance: {domain: "polyp"}
"""
    plain = json.dumps(
        {"spec_version": 1, "name": "x", "input": {"height": 8, "width": 8, "channels": 1}, "classes": ["a"]}
    )
    return Kind([text.encode(), plain.encode()], "spec.yaml", read_spec)


def _recipes(folder: Path) -> Kind:
    from s2m_edge.train.recipe import read_recipe

    texts = [json.dumps(read_recipe(name).to_dict()).encode() for name in ("polyp", "teacher-polyp")]
    return Kind(texts, "recipe.yaml", lambda path: read_recipe(str(path)))


def _training_runs(folder: Path) -> Kind:
    from s2m_edge.train.recipe import read_recipe
    from s2m_edge.train.run import RUN_FILE, Run, begin_run, open_run

    begin_run(Run(folder / "run", read_recipe("polyp"), folder, None, None))
    return Kind([(folder / "run" / RUN_FILE).read_bytes()], RUN_FILE, lambda path: open_run(path.parent))


def _split_tables(folder: Path) -> Kind:
    from s2m_edge.train.data.folders import read_split_table, table_clashes

    text = b'stem,split,patient\na,train,P1\n"b, c",val,P2\nd,test,\n'
    return Kind([text], "split.csv", lambda path: table_clashes(read_split_table(path)))


def _manifests(folder: Path) -> Kind:
    from s2m_edge.targets.archive.manifest import read_manifest

    return Kind([b'path,name,slice\na.png,a,\n"b, c.dcm",e,3\n../f.png,,\n'], "studies.csv", read_manifest)


def _ledgers(folder: Path) -> Kind:
    from s2m_edge.targets.archive.ledger import LEDGER_FILE, open_ledger

    (folder / "archive").mkdir()
    with open_ledger(folder / "archive") as ledger:
        ledger.append({"name": "a", "key": "0" * 64, "status": "done", "row": {"area": 3}})
        ledger.note_table("1" * 64)
        ledger.append({"name": "b", "key": "0" * 64, "status": "failed"})

    def read(path: Path) -> None:
        with open_ledger(path.parent) as opened:
            for name in opened.entries:
                opened.record(name)

    return Kind([(folder / "archive" / LEDGER_FILE).read_bytes()], LEDGER_FILE, read)


def _codes(folder: Path) -> Kind:
    from s2m_edge.imaging.results.codes import TABLE_PATH, load_codes

    bundled = json.loads(TABLE_PATH.read_text(encoding="utf-8"))
    tables = [value for value in (bundled, *bundled.values()) if isinstance(value, dict)]
    return Kind([json.dumps(table).encode() for table in tables], "codes.json", load_codes)


KINDS: dict[str, Callable[[Path], Kind]] = {
    "contracts": _contracts,
    "golden inputs": _golden_inputs,
    "recorded references": _references,
    "guards": _guards,
    "checkpoints": _checkpoints,
    "quantized checkpoints": _quantized_checkpoints,
    "teachers' headers": _teachers,
    "archives of weights": _weights,
    "pictures": _pictures,
    "parity reports": _parity_reports,
    "specifications": _specifications,
    "recipes": _recipes,
    "training runs": _training_runs,
    "split tables": _split_tables,
    "manifests": _manifests,
    "ledgers of archives": _ledgers,
    "tables of codes": _codes,
}
"""What makes each kind, in a folder that is its own."""

"""Recorded references by their content: none changes, none is replaced, and a stranger's file is told in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from networks import plain_u_net
from s2m_edge.deploy.recording import Record, record_content, record_reference, spec_hash, stamp_of
from s2m_edge.deploy.reference_store import keep_record, latest_by_device, read_record, record_files, stored_records
from s2m_edge.errors import ConfigurationError, ContractError, OutputError
from s2m_edge.files import file_sha256
from s2m_edge.outputs import require_own_file

NETWORK, SPEC = plain_u_net(32, 24)
SPEC = SPEC.of(NETWORK)
Changing = Callable[[dict[str, str], dict[str, Any]], None]


@pytest.fixture(scope="module")
def record(polyp_images: list[Path]) -> Record:
    return record_reference(NETWORK, SPEC, polyp_images[:2], "cpu")


def test_a_record_comes_back_as_it_was_made(record: Record, tmp_path: Path):
    path = keep_record(tmp_path, record)
    found = read_record(path)
    assert path.name == f"{file_sha256(path)}.safetensors"
    assert (found.recorded, found.float64_error, found.stamp) == (record.recorded, record.float64_error, record.stamp)
    for kept, made in zip(found.golden, record.golden, strict=True):
        assert kept.name == made.name
        assert all(np.array_equal(getattr(kept, key), getattr(made, key)) for key in ("image", "logits", "mask"))


def test_it_says_what_made_it(record: Record):
    assert 0 < record.float64_error < 1e-5
    assert "float32, cpu" in record.device
    assert record.weights_sha256 == SPEC.weights_sha256
    assert {"torch", "python", "s2m-edge", "processor", "features", "inputs_sha256"} <= set(record.stamp)
    assert record.recorded.endswith("+00:00")


def test_the_same_record_is_the_same_file_and_another_one_lies_beside_it(record: Record, tmp_path: Path):
    first = keep_record(tmp_path, record)
    inode = first.stat().st_ino
    assert keep_record(tmp_path, record) == first
    assert first.stat().st_ino == inode  # not written again
    second = keep_record(tmp_path, replace(record, recorded="2030-01-01T00:00:00+00:00"))
    assert {path for path, _ in stored_records(tmp_path)} == {first, second}
    assert [path for path, _ in latest_by_device(tmp_path, record)] == [second]
    assert sorted(tmp_path.iterdir()) == record_files(tmp_path)  # and nothing beside them


def test_each_device_has_a_last_record_and_other_networks_have_none_here(record: Record, tmp_path: Path):
    here = keep_record(tmp_path, record)
    there = keep_record(tmp_path, replace(record, stamp={**record.stamp, "device": "cuda (a GPU)"}))
    keep_record(tmp_path, replace(record, stamp={**record.stamp, "spec_sha256": "0" * 64}))
    keep_record(tmp_path, replace(record, stamp={**record.stamp, "weights_sha256": "0" * 64}))
    assert {path for path, _ in latest_by_device(tmp_path, record)} == {here, there}
    assert list(stored_records(tmp_path / "none")) == []


def test_a_stamp_is_known_before_anything_is_computed(record: Record):
    pictures = [(entry.name, entry.image) for entry in record.golden]
    assert stamp_of(NETWORK, SPEC, pictures, "cpu") == record.stamp
    assert stamp_of(NETWORK, SPEC, pictures[:1], "cpu") != record.stamp
    assert spec_hash(replace(SPEC, threshold=0.4)) != spec_hash(SPEC) == spec_hash(replace(SPEC, name="another"))


def test_a_network_is_known_by_weights_and_by_what_is_done_around_it(record: Record):
    name = Path("x")
    record.require_of(SPEC, name)
    with pytest.raises(ContractError, match="another checkpoint"):
        record.require_of(replace(SPEC, weights_sha256="0" * 64), name)
    for changed in ({"threshold": 0.4}, {"height": 64}, {"scale": 1.0}):
        with pytest.raises(ContractError, match="another size, threshold or preprocessing"):
            record.require_of(replace(SPEC, **changed), name)


def test_what_proves_nothing_is_not_recorded(polyp_images: list[Path]):
    class Blind(torch.nn.Module):
        def __init__(self, answer: float) -> None:
            super().__init__()
            self.answer = answer

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full_like(image[:, :1], self.answer)

    for answer, words in ((-9.0, "finds nothing on any"), (float("nan"), "are no numbers")):
        with pytest.raises(ContractError, match=words):
            record_reference(Blind(answer), SPEC, polyp_images[:1], "cpu")
    for count in (0, 1001):
        with pytest.raises(ConfigurationError, match=f"{count} pictures"):
            record_reference(NETWORK, SPEC, polyp_images[:1] * count, "cpu")


def test_a_reference_is_no_place_for_a_report(record: Record, tmp_path: Path):
    with pytest.raises(OutputError, match="was not written"):
        require_own_file(keep_record(tmp_path, record))


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_cut_or_changed_file_is_known_by_its_name_and_never_written_over(record: Record, tmp_path: Path, cut: int):
    path = keep_record(tmp_path, record)
    whole = path.read_bytes()
    for content in (whole[:cut], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(content)
        with pytest.raises(ContractError, match=r"not what was recorded under this name.*Put the original back"):
            read_record(path)
        with pytest.raises(ContractError, match="not what was recorded under this name"):
            keep_record(tmp_path, record)
        assert path.read_bytes() == content


def test_a_renamed_file_is_told_its_name(record: Record, tmp_path: Path):
    path = keep_record(tmp_path, record)
    with pytest.raises(ContractError, match=rf"not named by its content.*{path.stem}"):
        read_record(path.rename(tmp_path / "mine.safetensors"))


def tampered(record: Record, folder: Path, change: Changing) -> Path:
    """A file whose name is right and whose content somebody made."""
    content = record_content(record)
    start = 8 + int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8:start])["__metadata__"]
    tensors = {
        f"{key}.{index}": getattr(entry, key)
        for index, entry in enumerate(record.golden)
        for key in ("image", "logits", "mask")
    }
    change(metadata, tensors)
    (folder / "file").write_bytes(save(tensors, metadata=metadata))
    return (folder / "file").rename(folder / f"{file_sha256(folder / 'file')}.safetensors")


def entry(key: str, value: str | None) -> Changing:
    def change(metadata: dict[str, str], tensors: dict[str, Any]) -> None:
        metadata.pop(key, None)
        if value is not None:
            metadata[key] = value

    return change


def tensor(key: str, make: Callable[[Any], Any]) -> Changing:
    def change(metadata: dict[str, str], tensors: dict[str, Any]) -> None:
        tensors[key] = np.ascontiguousarray(make(tensors[key]))

    return change


NO_RECORD = "no recorded reference"
HOSTILE: dict[str, tuple[Changing, str]] = {
    "a stranger's": (entry("format", None), NO_RECORD),
    "a checkpoint": (entry("format", "s2m-edge-checkpoint"), NO_RECORD),
    "of tomorrow": (entry("format_version", "2"), "Update s2m-edge"),
    "no count": (entry("count", None), "damaged"),
    "more than it holds": (entry("count", "3"), "damaged"),
    "a billion": (entry("count", "1000000000"), "damaged"),
    "no weights": (entry("weights_sha256", None), NO_RECORD),
    "a hash that is none": (entry("spec_sha256", "../../etc/passwd"), NO_RECORD),
    "no device": (entry("device", None), NO_RECORD),
    "no date": (entry("recorded", "yesterday"), NO_RECORD),
    "a date without a zone": (entry("recorded", "2026-01-01T00:00:00"), NO_RECORD),
    "an error that is no number": (entry("float64_error", "nan"), NO_RECORD),
    "a negative error": (entry("float64_error", "-1"), NO_RECORD),
    "a threshold beyond one": (entry("threshold", "1e999"), NO_RECORD),
    "a precision that is none": (entry("precision", "float1"), NO_RECORD),
    "other pictures": (tensor("image.0", lambda image: image ^ 1), "pictures are not those"),
    "logits in float64": (tensor("logits.0", lambda logits: logits.astype(np.float64)), "damaged"),
    "logits in integers": (tensor("logits.1", lambda logits: logits.astype(np.int8)), "damaged"),
    "logits of another size": (tensor("logits.1", lambda logits: logits[:, :-1]), "damaged"),
    "logits of no size": (tensor("logits.0", lambda logits: logits[:0]), NO_RECORD),
    "logits without outputs": (tensor("logits.0", lambda logits: logits[0]), NO_RECORD),
    "NaN": (tensor("logits.1", lambda logits: logits * np.float32(np.nan)), "no numbers"),
    "infinity": (tensor("logits.0", lambda logits: logits + np.float32(np.inf)), "no numbers"),
    "a mask of words": (tensor("mask.0", lambda mask: mask.astype(np.uint16)), "damaged"),
    "a picture of four channels": (tensor("image.0", lambda image: np.repeat(image, 4, 2)[..., :4]), NO_RECORD),
    "a picture of bits": (tensor("image.0", lambda image: image > 3), "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_somebody_made_is_refused_in_one_line(record: Record, tmp_path: Path, name: str):
    change, words = HOSTILE[name]
    path = tampered(record, tmp_path, change)
    with pytest.raises(ContractError, match=words) as caught:
        read_record(path)
    assert "s2m-edge" in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_lying_sizes_take_no_memory(tmp_path: Path):
    header = json.dumps(
        {
            "__metadata__": {"format": "s2m-edge-reference", "format_version": "1", "count": "1", "name.0": "x"},
            "image.0": {"dtype": "U8", "shape": [1 << 40], "data_offsets": [0, 1 << 40]},
        }
    ).encode()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header)
    path = (tmp_path / "file").rename(tmp_path / f"{file_sha256(tmp_path / 'file')}.safetensors")
    with pytest.raises(ContractError, match="no readable safetensors"):
        read_record(path)
    (tmp_path / "other").write_bytes((1 << 60).to_bytes(8, "little") + header)
    path = (tmp_path / "other").rename(tmp_path / f"{file_sha256(tmp_path / 'other')}.safetensors")
    with pytest.raises(ContractError, match="no readable safetensors"):
        read_record(path)

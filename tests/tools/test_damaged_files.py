"""Every reader of ours takes a damaged file or refuses it in one line: a few of each kind.

tools/stress_readers.py tries thousands.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from damaged_files import KINDS, STRANGE, Kind, damaged, with_metadata
from s2m_edge.bundled import BUNDLED_CHECKPOINTS, FLOAT_NAMES, QUANTIZED_SUFFIX
from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.checkpoint.header import USED_ENTRIES
from s2m_edge.deploy.origin import float_origin
from s2m_edge.errors import CheckpointError, S2MEdgeError
from s2m_edge.network.fake_quantized.config import QuantizationConfig

FEW = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
)


@pytest.fixture(scope="module")
def kind_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Kind, Path]]:
    """A kind and where to write one of its files."""

    def make(name: str) -> tuple[Kind, Path]:
        kind = KINDS[name](tmp_path_factory.mktemp("made"))
        return kind, tmp_path_factory.mktemp("damaged") / kind.file

    return make


def outcome(kind: Kind, path: Path, content: bytes) -> str:
    """What a reader does with a file, see `answer`."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return answer(lambda: kind.read(path))


def answer(read: Callable[[], object]) -> str:
    """What reading comes to: "read", or an error's line."""
    try:
        read()
    except S2MEdgeError as error:
        return str(error)
    return "read"


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name: str, kind_of, capsys: pytest.CaptureFixture[str]):
    kind, path = kind_of(name)
    said = [outcome(kind, path, content) for content in kind.contents]
    assert "read" in said, said  # the sound one

    @FEW
    @given(chance=st.randoms(use_true_random=False))
    def each(chance: random.Random) -> None:
        said = outcome(kind, path, damaged(chance.choice(kind.contents), chance))
        assert said
        assert said.isprintable()

    each()
    for cut in (0, 1, 40):
        assert outcome(kind, path, kind.contents[0][:cut]).isprintable()


def header_alone(path: Path) -> tuple[bytes, dict[str, str]]:
    """A file with a checkpoint's metadata and no tensors, and the metadata."""
    with safe_open(path, "np") as file:
        metadata = dict(file.metadata())
    return with_metadata((2).to_bytes(8, "little") + b"{}", metadata), metadata


def strange_values(config: dict[str, Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    """Of every value of a configuration, and of every list's first: its name, what it was, what is put there, and the
    value that this makes."""
    for key, sound in config.items():
        for strange in STRANGE:
            yield key, sound, strange, strange
            if isinstance(sound, list):
                yield key, sound[0], strange, [strange, *sound[1:]]


def is_another_kind(was: object, strange: object) -> bool:
    """Whether a value is none that could stand in another's place, whatever its size: `true` is no number, and a number
    with a fraction no count."""
    if isinstance(strange, bool) or strange is None:
        return True
    if isinstance(was, float):
        return not isinstance(strange, int | float)
    return type(was) is not type(strange)


HARMLESS = ("layout", "kept_frequencies", "mixer_stages", "spatial_stages", "dropout", "layer_norm_epsilon")
"""Values of a configuration for which one of `STRANGE` lies in the range."""


@pytest.mark.parametrize("name", FLOAT_NAMES)
def test_every_value_of_a_configuration_is_checked_where_it_is_read(name: str, tmp_path: Path):
    """A value of another kind is refused, whichever it is; one of the same kind is refused or within its range."""
    content, metadata = header_alone(BUNDLED_CHECKPOINTS[name])
    path, config = tmp_path / "x.safetensors", json.loads(metadata["config"])
    path.write_bytes(content)
    assert read_header(path).config == read_header(f"{name}{QUANTIZED_SUFFIX}").config  # which is read in the same way
    for key, was, strange, value in strange_values(config):
        path.write_bytes(with_metadata(content, {"config": json.dumps(config | {key: value})}))
        said = answer(lambda: network_spec(read_header(path)))
        assert said.isprintable()
        if said == "read":
            assert not is_another_kind(was, strange), (key, strange)
            assert key in HARMLESS, (key, strange)


@pytest.mark.parametrize("name", sorted(name for name in BUNDLED_CHECKPOINTS if name.endswith(QUANTIZED_SUFFIX)))
def test_every_value_of_a_quantization_is_checked(name: str):
    config = json.loads(header_alone(BUNDLED_CHECKPOINTS[name])[1]["quantization"])
    QuantizationConfig.from_dict(config)
    for key, was, strange, value in strange_values(config):
        said = answer(lambda key=key, value=value: QuantizationConfig.from_dict(config | {key: value}))
        assert said.isprintable()
        if said == "read":
            assert not is_another_kind(was, strange), (key, strange)
            assert strange in ([], -1)  # no block in float, and a floor


NOTHING = (0, False, "", [], 0.0)
"""Values that count as none where it is not looked at of which kind they are."""


@pytest.mark.parametrize("text", ["config", "provenance", "quantization"])
def test_a_text_of_the_metadata_that_is_no_object_is_refused(text: str, tmp_path: Path):
    content, _ = header_alone(BUNDLED_CHECKPOINTS["polyp-int8"])
    path = tmp_path / "x.safetensors"
    for value in (*NOTHING, 1, "text", [{}]):
        path.write_bytes(with_metadata(content, {text: json.dumps(value)}))
        with pytest.raises(CheckpointError, match="damaged metadata"):
            read_header(path)


@pytest.mark.parametrize("entry", USED_ENTRIES)
def test_an_entry_of_the_provenance_that_is_used_is_of_its_kind_or_not_there(entry: str, tmp_path: Path):
    content, metadata = header_alone(BUNDLED_CHECKPOINTS["polyp-int8"])
    path, provenance = tmp_path / "x.safetensors", json.loads(metadata["provenance"])
    for value in (*NOTHING, 1, None):
        path.write_bytes(with_metadata(content, {"provenance": json.dumps(provenance | {entry: value})}))
        if value is not None and not isinstance(value, USED_ENTRIES[entry]):
            with pytest.raises(CheckpointError, match="damaged metadata"):
                read_header(path)
            continue
        found = read_header(path)
        assert network_spec(found).name
        assert (entry in found.provenance) == (value is not None)
        assert float_origin(found.provenance) == (provenance["float"] if entry != "float" else {})


@pytest.mark.parametrize("value", [*NOTHING, 1, None])
def test_a_bundle_whose_origin_is_no_object_says_none(value: object):
    assert float_origin({"float": value}) == {}

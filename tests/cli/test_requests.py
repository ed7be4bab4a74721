"""Numbers that are none, files that are nested without end, two that work on one run: wrong requests, exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer
from typer.models import OptionInfo

from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS
from s2m_edge.cli.main import app
from s2m_edge.cli.options import finite
from s2m_edge.deploy.bundle_files import bundle_files
from s2m_edge.errors import ConfigurationError
from s2m_edge.files import alone
from s2m_edge.quantize.finetune import RUN_FILE as TUNING_FILE
from s2m_edge.quantize.finetune import START_FILE
from s2m_edge.targets.measure.evaluation.report import report_files
from s2m_edge.train.recipe import parse_phase, read_recipe, recipe_from_values, with_changes
from s2m_edge.train.run import RUN_FILE, Run, begin_run
from support import assert_one_line_error, reseal

DEEP = "[" * 100_000


def number_options(group: typer.Typer) -> Iterator[tuple[str, OptionInfo]]:
    """Every option of a command that is a number with a point, with its name."""
    for command in group.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            taken, *notes = get_args(hint) or (hint,)
            if taken is float or float in get_args(taken):
                yield f"{command.name} {name}", next(note for note in notes if isinstance(note, OptionInfo))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from number_options(inner.typer_instance)


def test_every_option_that_is_a_number_is_a_finite_one():
    options = dict(number_options(app))
    assert {"train learning_rate", "train hours", "predict threshold", "evaluate tolerance"} <= set(options)
    assert [name for name, option in options.items() if option.callback is not finite] == []
    for number in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(typer.BadParameter, match="finite"):
            finite(number)
    assert (finite(None), finite(0.5)) == (None, 0.5)


def test_a_rate_that_is_no_number_leaves_no_folder(run, elsewhere: Path):
    result = run("train", "polyp", "--data", elsewhere, "--out", elsewhere / "run", "--learning-rate", "nan")
    assert_one_line_error(*result, "--learning-rate", "finite")
    assert_one_line_error(*run("train", "polyp", "--data", elsewhere, "--phase", "96:1:1:nan"), "is no finite number")
    assert_one_line_error(*run("average", "polyp", "polyp", "--factors", "nan,1"), "no finite number")
    assert list(elsewhere.iterdir()) == []


def test_a_recipe_holds_finite_numbers():
    recipe = read_recipe("polyp")
    for changes in ({"weight_decay": float("nan")}, {"phases": (parse_phase("96:1:1:nan"),)}):
        with pytest.raises(ConfigurationError, match="finite"):
            with_changes(recipe, changes, {})
    assert recipe_from_values(recipe.to_dict(), "it") == recipe


def test_json_that_is_nested_without_end_is_damaged(run, tmp_path: Path):
    (tmp_path / RUN_FILE).write_text(DEEP)
    assert_one_line_error(*run("train", "--resume", "--out", tmp_path), RUN_FILE, "damaged")
    tuning = tmp_path / "x.run"
    tuning.mkdir()
    (tuning / START_FILE).touch()
    for text in (DEEP, '{"checkpoint": 5, "data": "x"}', "[]"):
        (tuning / TUNING_FILE).write_text(text)
        assert_one_line_error(*run("quantize", "--resume", "--out", tmp_path / "x.safetensors"), "damaged")
    bundle = tmp_path / "bundle"
    shutil.copytree(VECTORS / REFUSALS / "sound", bundle)
    (bundle / "parity.json").write_text(DEEP)
    reseal(bundle)
    assert_one_line_error(*run("info", bundle), "parity.json is not readable JSON")
    (tmp_path / "metrics.json").write_text(DEEP)
    (tmp_path / "contract.json").write_text(DEEP)
    assert report_files(tmp_path) == []
    assert "contract.json" in bundle_files(tmp_path)
    (tmp_path / "deep.yaml").write_text(DEEP)
    assert_one_line_error(*run("spec", "check", tmp_path / "deep.yaml"), "nested too deep")


def test_a_checkpoint_whose_texts_are_of_another_kind_is_damaged(run, tmp_path: Path):
    import numpy as np
    from safetensors.numpy import save_file

    for config, provenance in ((DEEP, "{}"), ("{}", DEEP), ("[]", "{}"), ("{}", "[]"), ("{}", "null")):
        metadata = {"format": "s2m-edge-checkpoint", "format_version": "1", "config": config, "provenance": provenance}
        save_file({"a": np.zeros(1, np.float32)}, tmp_path / "c.safetensors", metadata=metadata)
        assert_one_line_error(*run("info", tmp_path / "c.safetensors"), "damaged metadata")


def test_two_cannot_go_on_with_one_run(run, tmp_path: Path):
    folder = tmp_path / "run"
    begin_run(Run(folder, read_recipe("polyp"), tmp_path / "absent", None, None))
    with alone(folder):
        assert_one_line_error(*run("train", "--resume", "--out", folder), "another process works on the run")
        with pytest.raises(ConfigurationError), alone(folder):
            pass
    with alone(folder):
        pass
    assert "another process" not in run("train", "--resume", "--out", folder)[2]


def test_a_phase_whose_result_is_damaged_is_named(run, tmp_path: Path):
    folder = tmp_path / "run"
    made = Run(folder, read_recipe("polyp"), tmp_path / "absent", None, None)
    begin_run(made)
    made.phase_folder(1).mkdir()
    made.result(1).write_text(json.dumps([]))
    assert_one_line_error(*run("train", "--resume", "--out", folder), "result.json is damaged")

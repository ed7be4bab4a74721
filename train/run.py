"""The folder of a training run: its recipe, and per phase the best checkpoint and the state to resume from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m_edge.errors import ConfigurationError
from s2m_edge.files import require_writable, write_json
from s2m_edge.text_files import read_text
from s2m_edge.train.recipe import Recipe, recipe_from_values

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """What a run was started with, and where it lies.

    Attributes:
        folder: of the run.
        data: the image folder.
        preset: of the data set's layout, or None for an image folder of the usual form.
        start: checkpoint that the first phase starts from, or None.
        precision: Lightning's name of what it began in; None, as in runs of older versions, leaves it to the machine.
        compiled: whether it began under torch.compile; None likewise.
        labels: what the masks hold, as `parse_labelling` reads it; None for plain labels.
    """

    folder: Path
    recipe: Recipe
    data: Path
    preset: str | None
    start: Path | None
    precision: str | None = None
    compiled: bool | None = None
    labels: str | None = None

    def phase_folder(self, number: int) -> Path:
        """Folder of phase `number`, from 1."""
        return self.folder / f"phase-{number}"

    def best(self, number: int) -> Path:
        return self.phase_folder(number) / "best.safetensors"

    def state(self, number: int) -> Path:
        return self.phase_folder(number) / "last.ckpt"

    def result(self, number: int) -> Path:
        """Written when phase `number` has ended."""
        return self.phase_folder(number) / "result.json"


def begin_run(run: Run) -> None:
    """Make the folder and write down what the run is.

    Raises:
        ConfigurationError: a run is there already.
        OutputError: the place cannot be written.
    """
    if (run.folder / RUN_FILE).exists():
        raise ConfigurationError(
            f"{run.folder} holds a run already", "Go on with it with --resume, or choose another place with --out."
        )
    parts = [run.phase_folder(number) for number in range(1, len(run.recipe.phases) + 1)]
    for part in (*parts, run.folder / "log"):
        if os.path.lexists(part):
            raise ConfigurationError(
                f"{part} is there, and is of no run here", "Move it elsewhere, or choose another place with --out."
            )
    require_writable(run.folder)
    values: dict[str, Any] = {
        "recipe": run.recipe.to_dict(),
        "data": str(run.data.resolve()),
        "preset": run.preset,
        "start": None if run.start is None else str(run.start.resolve()),
        "precision": run.precision,
        "compiled": run.compiled,
        "labels": run.labels,
    }
    write_json(run.folder / RUN_FILE, values)


def open_run(folder: Path) -> Run:
    """The run in a folder, to be resumed.

    Raises:
        ConfigurationError: there is none, or its file is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        raise ConfigurationError(f"{folder} holds no run to resume", "Check --out, or leave --resume out.")
    try:
        values = json.loads(read_text(path))
        recipe = recipe_from_values(values["recipe"], str(path))
        start = values["start"]
        begun = None if start is None else Path(start)
        how = values.get("precision"), values.get("compiled"), values.get("labels")
        return Run(folder, recipe, Path(values["data"]), values["preset"], begun, *how)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is damaged ({error})", "Start again with another --out.") from None

"""The deployment bundle: artifact, contract, golden outputs and parity report in one folder, and nothing else.

Running its artifact takes a target: `s2m_edge.targets.opening`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from s2m_edge.deploy.contract import (
    CONTRACT_FILE,
    RESIZE_RULE,
    SCHEMA_VERSION,
    Contract,
    read_contract,
    shown,
    validate_contract,
)
from s2m_edge.deploy.golden import GOLDEN_FILE, require_golden_of
from s2m_edge.deploy.guard import Guard, bundle_guard, require_guard_fits
from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.deploy.precision import Precision, SpectralForm
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import ContractError
from s2m_edge.files import file_sha256
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.notice import INTENDED_USE, NOTICE
from s2m_edge.versions import tool_versions

COPY_AGAIN = "Copy the whole bundle, or export it again."
DROPPINGS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers leave in folders that people look at, beside names that begin with "._". They are not opened."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle."""

    folder: Path
    contract: Contract

    @property
    def artifact(self) -> Path:
        return self.folder / self.contract.values["artifact"]["file"]

    @property
    def interface(self) -> TensorInterface:
        entry, output = self.contract.values["input"], self.contract.values["output"]
        return TensorInterface(
            input_dtype=entry["dtype"],
            layout=entry["layout"],
            input_name=entry["name"],
            output_name=output["name"],
        )

    @cached_property
    def guard(self) -> Guard | None:
        """What the network's training pictures look like; None where the bundle does not say.

        Raises:
            ContractError: the file is damaged, or about another kind of picture.
        """
        found = bundle_guard(self.folder)
        if found is not None:
            require_guard_fits(found, self.contract.preprocessing.channels, f"the guard of {self.folder}")
        return found


def draft_contract(
    target: str,
    interface: TensorInterface,
    spec: NetworkSpec,
    precision: Precision,
    spectral: SpectralForm,
    artifact: Path,
) -> Contract:
    """The contract of an artifact just saved, alone in its folder: enough to run it. `seal_contract` completes it.

    Args:
        target: the registry's name.
        spec: of the network, with the hash of its weights.
        spectral: how the spectral filter was lowered; "none" of a network without one.
    """
    folder = artifact.parent
    files = list(_files(folder))
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "s2m_edge_version": tool_versions()["s2m-edge"],
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "target": target,
        "precision": precision,
        "spectral": spectral,
        "artifact": {"file": artifact.name, "bytes": sum(path.stat().st_size for path in files)},
        "files": {path.relative_to(folder).as_posix(): file_sha256(path) for path in files},
        "parity": {"images": 0, "images_with_foreground": 0, "passed": False},
        "network": {
            "name": spec.name,
            "architecture": spec.architecture,
            "layout": _json_values(spec.layout),
            "parameters": spec.parameters,
            "multiply_adds": spec.multiply_adds,
            "weights_sha256": spec.weights_sha256,
        },
        "input": {
            "name": interface.input_name,
            "dtype": interface.input_dtype,
            "layout": interface.layout,
            "colour": "RGB" if spec.channels == 3 else "grey",
            "normalised_inside": interface.input_dtype == "uint8",
        },
        "preprocessing": preprocessing_entry(spec.preprocessing),
        "output": {
            "name": interface.output_name,
            "shape": [1, *spec.output_shape],
            "activation": spec.activation,
        },
        "postprocessing": {"resize": RESIZE_RULE.rsplit(",", 1)[0], "threshold": spec.threshold},
        "classes": [{"name": entry.name, "colour": list(entry.colour)} for entry in spec.classes],
        "checkpoint": {
            "file": spec.file,
            "sha256": spec.sha256 or spec.weights_sha256,
            "provenance": dict(spec.provenance),
        },
        "tools": tool_versions(),
        "intended_use": INTENDED_USE,
        "notice": NOTICE,
    }
    return Contract(values)


def preprocessing_entry(preprocessing: Preprocessing) -> dict[str, Any]:
    """The contract's `preprocessing`."""
    values = _json_values(asdict(preprocessing))
    window = values.pop("window")
    if window is not None:
        window |= {"blending": "gaussian", "padding": "black", "scale": 1}
    return {
        **values,
        "fit": "stretch" if window is None else "window",
        "window": window,
        "spacing": None,
        "resize": RESIZE_RULE,
    }


def seal_contract(draft: Contract, folder: Path, parity: Mapping[str, Any]) -> Contract:
    """The contract with the gate's result and the hashes of everything that lies in `folder`; validated.

    Args:
        parity: the contract's `parity`.
    """
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in _files(folder)}
    files.pop(CONTRACT_FILE, None)
    return validate_contract({**draft.values, "files": files, "parity": dict(parity)}, CONTRACT_FILE)


def _json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def open_bundle(folder: Path, *, verify: bool = True, proved: bool = True) -> Bundle:
    """Read a bundle's contract and, unless told not to, check every file against its hash.

    Args:
        proved: refuse a bundle that did not pass its gate. Measuring one again takes False; whoever shows a mask of one
            says so beside it.

    Raises:
        ContractError: no bundle, from another version, not proved, or a file is missing, foreign or was changed;
            `reason` says which.
    """
    folder = Path(folder)
    bundle = Bundle(folder, read_contract(folder))
    if proved:
        bundle.contract.require_proved()
    if verify:
        require_whole(bundle)
        require_golden_of(folder / GOLDEN_FILE, bundle.contract)
    return bundle


def require_whole(bundle: Bundle) -> None:
    """Raise ContractError unless the folder holds the files that the contract names, unchanged, and no other."""
    folder, expected = bundle.folder, bundle.contract.files
    found = {path.relative_to(folder).as_posix() for path in _files(folder)} - {CONTRACT_FILE}
    for name in sorted(set(expected) - found):
        raise ContractError(f"{folder} lacks {name}", COPY_AGAIN, "missing-file")
    for name in sorted(found - set(expected)):
        raise ContractError(
            f"{folder} holds {shown(name)}, which its contract does not name", "Remove it.", "extra-file"
        )
    for name, digest in expected.items():
        if file_sha256(folder / name) != digest:
            raise ContractError(
                f"{name} in {folder} is not the file that was exported (SHA-256 differs)",
                "Copy it again, or export it again.",
                "hash-differs",
            )


def _files(folder: Path) -> Iterator[Path]:
    """Every file in a folder and its folders, by name; links and pipes refused, file managers' droppings left out."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name in DROPPINGS or entry.name.startswith("._"):
                continue
            if entry.is_symlink():
                raise ContractError(f"{shown(entry.path)} is a link", "Copy the file itself.", "link")
            if entry.is_dir():
                yield from _files(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path)
            else:  # a named pipe would be waited for without end
                raise ContractError(f"{shown(entry.path)} is no regular file", "Copy the bundle again.", "missing-file")

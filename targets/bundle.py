"""The deployment bundle: artifact, contract, golden outputs and parity report in one folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.contract import (
    CONTRACT_FILE,
    DEFAULT_THRESHOLD,
    INTENDED_USE,
    NOTICE,
    RESIZE_RULE,
    SCHEMA_VERSION,
    Contract,
    read_contract,
    validate_contract,
)
from s2m_edge.errors import ContractError
from s2m_edge.files import file_sha256
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.targets.base import LoweringRequest, Runner, TensorInterface
from s2m_edge.targets.registry import Target, find_target
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.config import S2MNetConfig


@dataclass(frozen=True)
class Bundle:
    """An opened bundle."""

    folder: Path
    contract: Contract

    @property
    def target(self) -> Target:
        return find_target(self.contract.target)

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

    def open_runner(self, threads: int | None = None) -> Runner:
        """Load the artifact in a fresh runner.

        Raises:
            MissingBackendError: the runtime is not installed.
            LoweringError: the artifact does not load.
        """
        target = self.target
        target.require_backend()
        return target.runner_class()(
            self.artifact, self.interface, self.contract.preprocessing, self.contract.precision, threads
        )


def artifact_files(folder: Path) -> list[Path]:
    """The artifact's files in a folder that holds nothing else yet, by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def make_contract(
    target: Target,
    interface: TensorInterface,
    request: LoweringRequest,
    header: CheckpointHeader,
    artifact: Path,
) -> Contract:
    """The contract of an artifact just saved, alone in its folder; validated before it is written."""
    config, folder = request.model.config, artifact.parent
    files = artifact_files(folder)
    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "s2m_edge_version": tool_versions()["s2m-edge"],
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "target": target.name,
        "precision": request.precision,
        "spectral": request.spectral,
        "artifact": {
            "file": artifact.name,
            "bytes": sum(path.stat().st_size for path in files),
            "sha256": {path.relative_to(folder).as_posix(): file_sha256(path) for path in files},
        },
        "network": _json_values(config.to_dict()),
        "input": {
            "name": interface.input_name,
            "dtype": interface.input_dtype,
            "layout": interface.layout,
            "colour": "RGB" if config.in_channels == 3 else "grey",
            "normalised_inside": interface.input_dtype == "uint8",
        },
        "preprocessing": {**_json_values(asdict(request.preprocessing)), "fit": "stretch", "resize": RESIZE_RULE},
        "output": {
            "name": interface.output_name,
            "shape": [1, config.classes, config.size, config.size],
            "activation": "sigmoid" if config.classes == 1 else "softmax",
        },
        "postprocessing": {"resize": RESIZE_RULE.rsplit(",", 1)[0], "threshold": DEFAULT_THRESHOLD},
        "classes": [{"name": entry.name, "colour": list(entry.colour)} for entry in request.classes],
        "checkpoint": {"file": header.path.name, "sha256": header.sha256, "provenance": header.provenance},
        "tools": tool_versions(),
        "intended_use": INTENDED_USE,
        "notice": NOTICE,
    }
    return validate_contract(values, CONTRACT_FILE)


def preprocessing_for(config: S2MNetConfig) -> Preprocessing:
    """The contract's preprocessing of a network: stretch to its size, 0..255 to 0..1."""
    channels = config.in_channels
    return Preprocessing(
        size=config.size, channels=channels, mean=(0.0,) * channels, standard_deviation=(1.0,) * channels
    )


def _json_values(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def open_bundle(folder: Path, *, verify: bool = True) -> Bundle:
    """Read a bundle's contract and, unless told not to, check its artifact against the recorded hashes.

    Raises:
        ContractError: no bundle, from a newer version, or the artifact is missing or was changed.
        CapabilityError: its target is unknown.
    """
    folder = Path(folder)
    bundle = Bundle(folder, read_contract(folder))
    find_target(bundle.contract.target)
    for name, expected in bundle.contract.values["artifact"]["sha256"].items() if verify else ():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ContractError(
                f"the contract of {folder} names a file outside the bundle ({name})", "Export it again."
            )
        if not path.is_file():
            raise ContractError(f"{folder} lacks {name}", "Copy the whole bundle, or export it again.")
        if file_sha256(path) != expected:
            raise ContractError(
                f"{name} in {folder} is not the file that was exported (SHA-256 differs)",
                "Copy it again, or export it again.",
            )
    return bundle

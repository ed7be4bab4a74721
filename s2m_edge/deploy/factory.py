"""Networks that are not S2M-Net: made by a function of the user's, with weights from a file that runs no code.

`module:factory` and `file.py:factory` import and call code that the user named on purpose; nothing that a file of
weights or a specification says is ever imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge import interrupts
from s2m_edge.deploy.claims import require_uncompressed
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import CheckpointError, ConfigurationError, S2MEdgeError, in_one_line
from s2m_edge.files import file_sha256
from s2m_edge.texts import printable

if TYPE_CHECKING:
    import torch
    from torch import nn

SHOWN_KEYS = 3
"""How many names of tensors that do not fit an error shows."""

PROGRAM_SUFFIX = ".pt2"


def open_network(reference: str, weights: Path | None, spec: NetworkSpec) -> tuple[nn.Module, NetworkSpec]:
    """A network in eval mode on the CPU, and its specification with where it came from.

    Args:
        reference: `module:factory`, `file.py:factory`, or a .pt2 file of torch.export.
        weights: a safetensors file, or one of torch.save that holds tensors alone; None: as the factory gives them.
        spec: what the network says of itself.

    Raises:
        ConfigurationError: there is no such factory, it fails, or it returns no module.
        CheckpointError: the weights cannot be read or do not fit.
    """
    if reference.endswith(PROGRAM_SUFFIX):
        from s2m_edge.deploy.exported_program import load_program

        if weights is not None:
            raise ConfigurationError(f"{reference} brings its own weights", "Leave --weights out.")
        path = Path(reference)
        return load_program(path), replace(
            spec, architecture=printable(path.name), file=printable(path.name), sha256=file_sha256(path)
        )
    network = call_factory(reference)
    if weights is None:
        return network, replace(spec, architecture=reference)
    load_weights(network, weights)
    return network, replace(spec, architecture=reference, file=printable(weights.name), sha256=file_sha256(weights))


def call_factory(reference: str) -> nn.Module:
    """What `module:factory` or `file.py:factory` makes, in eval mode, without gradients.

    Raises:
        ConfigurationError: there is no such factory, it raises, or it returns no module.
    """
    from torch import nn

    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise ConfigurationError(
            f"--network {reference} names no factory", "Write module:factory, file.py:factory, or a .pt2 file."
        )
    factory = getattr(_import(place), name, None)
    if factory is None:
        raise ConfigurationError(f"{place} has no {name}", "Name a function or a class that takes no arguments.")
    if not callable(factory):
        raise ConfigurationError(
            f"{reference} is a {type(factory).__name__}, not a function", "Name a function that returns the network."
        )
    try:
        network = factory()
    except S2MEdgeError:
        raise
    except Exception as error:  # a stranger's code raises anything
        interrupts.heed(error)
        raise ConfigurationError(
            f"the factory {reference} fails ({in_one_line(error)})", "It is called without arguments; try it in Python."
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigurationError(
            f"the factory {reference} returns {type(network).__name__}, not an nn.Module", "Return the network."
        )
    return network.eval().requires_grad_(False)


def _import(place: str) -> Any:
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise ConfigurationError(f"there is no file {path}", "Check the path of --network.")
        name = f"s2m_edge_network_{path.stem}"
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.path.insert(0, str(path.resolve().parent))  # as for a script: it finds the files beside it
        sys.modules[name] = module
        try:
            specification.loader.exec_module(module)
        except Exception as error:
            interrupts.heed(error)
            del sys.modules[name]
            raise ConfigurationError(
                f"{path} cannot be imported ({in_one_line(error)})", "Run it with python."
            ) from error
        finally:
            sys.path.remove(str(path.resolve().parent))
        return module
    here = str(Path.cwd())
    added = here not in sys.path
    if added:  # as for python -m
        sys.path.insert(0, here)
    try:
        return importlib.import_module(place)
    except Exception as error:
        interrupts.heed(error)
        raise ConfigurationError(
            f"the module {place} cannot be imported ({in_one_line(error)})",
            "Install it in this environment, or give the path of a .py file.",
        ) from error
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def load_weights(network: nn.Module, path: Path) -> None:
    """Copy a file's tensors into a network, every one of them.

    Raises:
        CheckpointError: unreadable, holds more than tensors, or does not fit: which names and shapes.
    """
    tensors = read_tensors(path)
    own = {name: value for name, value in network.state_dict().items() if hasattr(value, "shape")}
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in tensors if name not in own]
    if missing or unexpected:
        parts = [
            f"{len(names)} {what} ({', '.join(names[:SHOWN_KEYS])}{', ...' if len(names) > SHOWN_KEYS else ''})"
            for what, names in (("missing", missing), ("unknown to the network", unexpected))
            if names
        ]
        raise CheckpointError(
            f"the weights {path} do not fit the network: {' and '.join(parts)}",
            "Give the file of this network; names are those of its state_dict.",
        )
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != tuple(own[name].shape):
            raise CheckpointError(
                f"the weights {path} do not fit the network: {name} is {list(tensor.shape)}, "
                f"the network has {list(own[name].shape)}",
                "Make the network with the settings that it was trained with.",
            )
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()}, strict=False)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, or of one of torch.save that holds tensors alone (weights_only).

    Raises:
        CheckpointError: missing, damaged, or it holds more than tensors.
    """
    import torch

    if not path.is_file():
        raise CheckpointError(f"there are no weights {path}", "Check the path.")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file ({error})", "Copy it again.") from None
    require_uncompressed(path)
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path} does not load as tensors alone ({in_one_line(error)})",
            "Save model.state_dict() with safetensors.torch.save_file.",
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
    if not isinstance(values, Mapping) or not all(isinstance(value, torch.Tensor) for value in values.values()):
        raise CheckpointError(f"{path} is no table of tensors", "Save model.state_dict().")
    return dict(values)

"""Networks of the user's: made by a factory, filled with weights that run no code, and seen to do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from networks import PlainUNet, plain_u_net
from s2m_edge.deploy.factory import call_factory, load_weights, open_network
from s2m_edge.deploy.soundness import require_sound_network
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import CheckpointError, ConfigurationError

SPEC = make_spec("small", height=32, width=48)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A user's file, which imports another beside it."""
    (tmp_path / "beside.py").write_text("CHANNELS = 3\n")
    path = tmp_path / "mine.py"
    path.write_text(
        "from beside import CHANNELS\n"
        "from torch import nn\n"
        "def good(): return nn.Sequential(nn.Conv2d(CHANNELS, 1, 3, padding=1))\n"
        "def fails(): raise RuntimeError('no such backbone')\n"
        "def nothing(): return None\n"
        "number = 3\n"
    )
    return path


def test_a_factory_of_a_file_makes_a_network_in_eval_mode(module):
    network = call_factory(f"{module}:good")
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_factory_of_a_module_makes_one_too():
    assert isinstance(call_factory("networks:PlainUNet"), PlainUNet)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("mine.py", "names no factory"),
        (":good", "names no factory"),
        ("mine.py:absent", "has no absent"),
        ("mine.py:number", "is a int, not a function"),
        ("mine.py:fails", "RuntimeError: no such backbone"),
        ("mine.py:nothing", "NoneType, not an nn.Module"),
        ("absent.py:good", "there is no file"),
        ("absent_module_of_nobody:good", "cannot be imported"),
    ],
)
def test_a_factory_that_cannot_be_used_is_named_in_one_line(module, monkeypatch, reference, words):
    monkeypatch.chdir(module.parent)
    with pytest.raises(ConfigurationError, match=words) as caught:
        call_factory(reference)
    assert "\n" not in str(caught.value)


def test_weights_come_from_safetensors_or_from_tensors_alone(tmp_path: Path):
    given = plain_u_net()[0].state_dict()
    save_file(given, tmp_path / "weights.safetensors")
    torch.save({"state_dict": given, "epoch": 3}, tmp_path / "weights.pt")
    for name in ("weights.safetensors", "weights.pt"):
        network = PlainUNet()
        load_weights(network, tmp_path / name)
        assert all(torch.equal(value, given[key]) for key, value in network.state_dict().items())


class Payload:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_a_file_that_wants_code_is_refused_and_runs_none(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Payload()}, "evil.pt")
    with pytest.raises(CheckpointError, match=r"tensors alone.*safetensors"):
        load_weights(PlainUNet(), Path("evil.pt"))
    assert not Path("ran").exists()


def test_weights_that_do_not_fit_are_named(tmp_path: Path):
    given = dict(plain_u_net()[0].state_dict())
    given["stranger"] = torch.zeros(1)
    missing = given.pop("head.bias")
    save_file(given, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"1 missing \(head.bias\) and 1 unknown to the network \(stranger\)"):
        load_weights(PlainUNet(), tmp_path / "a.safetensors")
    del given["stranger"]
    save_file({**given, "head.bias": missing.repeat(2)}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match=r"head.bias is \[2\], the network has \[1\]"):
        load_weights(PlainUNet(), tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="there are no weights"):
        load_weights(PlainUNet(), tmp_path / "absent.safetensors")
    (tmp_path / "c.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        load_weights(PlainUNet(), tmp_path / "c.safetensors")


class Constant(nn.Module):
    """Gives what it was made with, whatever comes in."""

    def __init__(self, found: object) -> None:
        super().__init__()
        self.found = found

    def forward(self, image: torch.Tensor) -> object:
        return self.found


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Constant({"out": torch.zeros(1, 1, 32, 48)}), "dict, not one tensor"),
        (Constant(torch.zeros(1, 32, 48)), "3 axes"),
        (Constant(torch.zeros(1, 2, 32, 48)), "2 output channels, its specification says 1"),
        (Constant(torch.zeros(1, 1, 16, 24)), "32 x 48 into 16 x 24"),
        (Constant(torch.full((1, 1, 32, 48), torch.nan)), "not finite"),
        (Constant(torch.zeros(1, 1, 32, 48, dtype=torch.float64)), "computes in torch.float64"),
        (nn.Conv2d(1, 1, 1), "fails on an image of 32 x 48 with 3 channels"),
        (nn.Sequential(nn.Conv2d(3, 1, 1), nn.Dropout(0.5)), "training mode"),
    ],
)
def test_a_network_that_is_not_what_its_specification_says_is_refused(network: nn.Module, words: str):
    network.train(isinstance(network, nn.Sequential))
    with pytest.raises(ConfigurationError, match=words):
        require_sound_network(network, SPEC)


def test_a_network_that_answers_at_random_is_refused():
    class Noisy(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.rand_like(image[:, :1])

    with pytest.raises(ConfigurationError, match="differently each time"):
        require_sound_network(Noisy().eval(), SPEC)


def test_a_program_of_torch_export_is_a_network(tmp_path: Path):
    network, spec = plain_u_net(32, 48)
    image = torch.rand(1, 3, 32, 48)
    torch.export.save(torch.export.export(network, (image,)), tmp_path / "net.pt2")
    loaded, described = open_network(str(tmp_path / "net.pt2"), None, spec)
    require_sound_network(loaded, described)
    with torch.no_grad():
        assert torch.allclose(loaded(image), network(image), atol=1e-6)
    assert (described.file, len(described.sha256)) == ("net.pt2", 64)
    with pytest.raises(ConfigurationError, match="brings its own weights"):
        open_network(str(tmp_path / "net.pt2"), tmp_path / "w.safetensors", spec)

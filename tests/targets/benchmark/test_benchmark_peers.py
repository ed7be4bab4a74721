"""Other networks through the same exporters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2m_edge.errors import CapabilityError, LoweringError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.benchmark import peers as module
from s2m_edge.targets.benchmark.peers import PEERS, export_peer, peer_preprocessing
from s2m_edge.targets.registry import find_target


def test_a_peer_has_the_same_random_weights_each_time():
    first, second = (PEERS[0].make().state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_random_state_of_the_caller_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    PEERS[0].make()
    assert torch.equal(torch.rand(1), expected)


def test_a_target_that_takes_no_other_network_says_so(small_model, tmp_path):
    request = LoweringRequest(small_model, "float32", "matmul", peer_preprocessing(96))
    with pytest.raises(CapabilityError, match="lowers S2M-Net only"):
        find_target("coreml").make_exporter().export_network(PEERS[0].make(), request, tmp_path)


@pytest.mark.slow
def test_a_peer_is_exported_once_and_one_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    target, preprocessing = find_target("onnx"), peer_preprocessing(96)
    artifact = export_peer(PEERS[0], target, 96, tmp_path / "kept")
    written = artifact.stat().st_mtime_ns
    assert export_peer(PEERS[0], target, 96, tmp_path / "kept").stat().st_mtime_ns == written
    interface = target.make_exporter().interface
    runner = target.runner_class()(artifact, interface, preprocessing, "float32", 1)
    # Noise: instance normalisation blows the rounding of an even picture up to anything.
    fitted = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = PEERS[0].make()(torch.from_numpy(normalise(fitted, preprocessing))).sigmoid()[0].numpy()
    assert np.abs(runner.predict(fitted) - expected).max() < 1e-4
    monkeypatch.setattr(module, "LARGEST_ERROR", -1.0)
    with pytest.raises(LoweringError, match="computes something else"):
        export_peer(PEERS[0], target, 96, tmp_path / "refused")
    assert list((tmp_path / "refused").iterdir()) == []

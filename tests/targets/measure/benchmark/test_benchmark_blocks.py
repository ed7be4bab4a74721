"""From module paths to blocks, and profiles that add up."""

from __future__ import annotations

import numpy as np
import pytest

from s2m_edge.targets.measure.benchmark.contenders import pytorch_contenders
from s2m_edge.targets.measure.benchmark.profile.blocks import (
    BLOCKS,
    DECODER,
    DOWN,
    HEAD,
    OUTSIDE,
    RECEPTIVE,
    SPATIAL,
    SPECTRAL,
    STEM,
    UNNAMED,
    Place,
    locate,
    make_profile,
)
from s2m_edge.targets.measure.benchmark.profile.eager import profile_eager
from support import ENCODER_STAGES, SPECTRAL_STAGES


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("network.stem.0/node_Conv_885", Place(STEM)),
        ("encoder.0.down.2", Place(DOWN, 1)),
        ("network.encoder.4.receptive.branches.2.1/x", Place(RECEPTIVE, 5)),
        ("network.encoder.1.mixer.spectral/linear_3/aten.linear.default/MatMul", Place(SPECTRAL, 2)),
        ("network.encoder.1.mixer.spatial.gate", Place(SPATIAL, 2)),
        ("network.encoder.1.mixer", Place(SPATIAL, 2)),
        ("image_abcd_acdb_network.decoder.0.region.0.1/Add", Place(DECODER, 4)),
        ("decoder.3", Place(DECODER, 1)),
        ("network.head.5/node_conv2d_92", Place(HEAD)),
        ("Multiply_21987", None),
        ("network/node_system", None),
        ("overhead.0", None),
        ("encoder.2", None),
        ("", None),
    ],
)
def test_a_name_is_located_by_the_modules_path_that_it_holds(name, place):
    assert locate(name) == place


def test_every_parameter_of_the_network_has_a_place(small_model):
    places = {name: locate(name) for name, _ in small_model.named_parameters()}
    assert None not in places.values()
    assert {place.block for place in places.values() if place} == set(BLOCKS) - {UNNAMED, OUTSIDE}


def test_a_profile_adds_up_to_its_total():
    profile = make_profile([(Place(STEM), 1.0), (None, 2.0), (Place(RECEPTIVE, 1), 3.0), (Place(STEM), 1.0)], 10.0, "")
    assert profile.times == {
        Place(STEM): 2.0,
        Place(UNNAMED): 2.0,
        Place(RECEPTIVE, 1): 3.0,
        Place(OUTSIDE): 3.0,
    }


def test_nodes_that_rounding_makes_longer_than_the_run_are_the_total():
    assert make_profile([(Place(STEM), 10.1)], 10.0, "").total == pytest.approx(10.1)


def test_the_eager_profile_knows_every_block_at_every_stage(small_checkpoint):
    (eager, _) = pytorch_contenders(small_checkpoint, 96, compiled=False)
    profile = profile_eager(eager, np.zeros((96, 96, 3), np.uint8), threads=1, rounds=2)
    stages = {block: {place.stage for place in profile.times if place.block == block} for block in BLOCKS}
    assert stages[STEM] == stages[HEAD] == {None}
    assert stages[DOWN] == stages[RECEPTIVE] == set(range(1, ENCODER_STAGES + 1))
    assert stages[SPECTRAL] == stages[SPATIAL] == set(SPECTRAL_STAGES), "the others have no SSTM"
    assert stages[DECODER] == set(range(1, ENCODER_STAGES)), "the deepest stage is nobody's skip connection"
    assert stages[UNNAMED] == set()
    assert min(profile.times.values()) > 0
    assert sum(profile.times.values()) == pytest.approx(profile.total)

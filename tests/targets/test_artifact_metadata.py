"""The short texts that artifacts carry inside, in the formats that have a place for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from networks import plain_u_net
from s2m_edge.notice import NOTICE
from s2m_edge.targets.export import artifact_metadata


@pytest.mark.parametrize(
    ("provenance", "named"),
    [({"dataset": "kvasir_seg"}, "Kvasir-SEG"), ({"dataset": "my pictures"}, "my pictures"), ({}, "unknown")],
)
def test_the_data_set_has_its_name_and_not_that_of_a_folder(provenance: dict[str, str], named: str):
    spec = replace(plain_u_net()[1], provenance=provenance)
    assert artifact_metadata(spec)["description"].endswith(f"segmentation, trained on {named}. {NOTICE}")

"""How the CPU plugin is to run a float model, decided where it is loaded from what the processor has.

By itself the plugin takes its "brgconv" kernels for everything, which keep channels last. On AVX2 their depthwise
convolutions take twice the time of the older "jit" kernels, and a concatenation of channels copies every pixel, where
in blocks of channels it costs nothing. With AVX-512 the blocks are of sixteen channels, and a convolution of 24 or 56
finds no blocked kernel at all: there the plugin's own choice is the best, and concatenations are worth avoiding. What
is faster belongs to a processor and not to a network, so a file says nothing of it, and a list in a file of an earlier
version is dropped.

A list of kernels is the plugin's own attribute `primitives_priority`, which it reads from a model's nodes.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Set
from dataclasses import dataclass

from s2m_edge.processor import processor_features

LAYERS = ("Convolution", "GroupConvolution")
ATTRIBUTE = "primitives_priority"


@dataclass(frozen=True)
class Choice:
    """One row, for a processor that has `feature`.

    Attributes:
        feature: of `s2m_edge.processor.FEATURES`.
        kernels: the plugin's names, the first that fits a convolution is taken; none: its own choice.
        summed: 1x1 convolutions of concatenations become sums, see `branch_sum`.
        measured: the polyp network, 352 x 352, two threads, medians of one interleaved run.
    """

    feature: str
    kernels: tuple[str, ...] = ()
    summed: bool = False
    measured: str = ""


UNKNOWN = Choice("")
"""A processor that is in no row: the plugin's own choice."""


CHOICES = (
    Choice(
        "avx512f",
        summed=True,
        measured="Xeon with VNNI, November 2026: 90 ms; the plugin's own choice 99, blocked kernels 133",
    ),
    Choice(
        "avx2",
        kernels=("jit_avx2_1x1", "jit_avx2_dw", "jit_avx2"),
        measured="AMD EPYC: 131 ms, the plugin's own choice 152; the Xeon kept to AVX2: 138 and 153, with sums 144",
    ),
)
"""By feature, the newest instruction set first."""

LIMIT = "ONEDNN_MAX_CPU_ISA"
"""The environment variable that keeps the plugin's convolutions from newer instruction sets."""


def features_in_use() -> frozenset[str]:
    """What the processor has and the plugin's convolutions may use."""
    found, limit = processor_features(), os.environ.get(LIMIT, "").upper()
    if limit == "AVX" or limit.startswith(("SSE", "AVX2")):
        found = frozenset(name for name in found if not name.startswith(("avx512", "amx")))
    return found


def choice_for(features: Set[str]) -> Choice:
    """The row of a processor with these features."""
    return next((choice for choice in CHOICES if choice.feature in features), UNKNOWN)


def ask_for(network: ElementTree.Element, kernels: tuple[str, ...]) -> None:
    """Write `kernels` on every convolution of an IR's root element, in place, instead of what stood there."""
    value = ",".join(f"cpu:{name}" for name in kernels)
    for layer in (layer for layer in network.iterfind(".//layer") if layer.get("type") in LAYERS):
        notes = layer.find("rt_info")
        if notes is None:
            if not kernels:
                continue
            notes = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, notes)  # the order that OpenVINO writes
        for earlier in [entry for entry in notes if entry.get("name") == ATTRIBUTE]:
            notes.remove(earlier)
        if kernels:
            ElementTree.SubElement(notes, "attribute", {"name": ATTRIBUTE, "version": "0", "value": value})

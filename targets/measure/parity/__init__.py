"""Parity: the same gates, comparison and report for every target."""

from s2m_edge.targets.measure.parity.compare import ImageParity, compare
from s2m_edge.targets.measure.parity.gates import GATES, Gate
from s2m_edge.targets.measure.parity.report import ParityReport

__all__ = ["GATES", "Gate", "ImageParity", "ParityReport", "compare"]

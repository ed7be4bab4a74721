"""Where an artifact leaves its reference: the first block, then the first operator."""

from s2m_edge.targets.measure.locate.locate import locate
from s2m_edge.targets.measure.locate.report import BlockError, Location, OperatorError

__all__ = ["BlockError", "Location", "OperatorError", "locate"]

"""Operators that some backend lacks or changes, in others that give the same."""

from s2m_edge.targets.rewrites.operators.calls import Rule, in_other_operators
from s2m_edge.targets.rewrites.operators.plain import in_plain_operators

__all__ = ["Rule", "in_other_operators", "in_plain_operators"]

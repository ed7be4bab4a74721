"""A reference evaluator of saved ML Programs: reads the package's own files, runs them op by op, no converter code."""

from s2m_edge.targets.coreml.evaluator.package import CoreMLPackage, open_package
from s2m_edge.targets.coreml.evaluator.program import Evaluator, FloatPeak

__all__ = ["CoreMLPackage", "Evaluator", "FloatPeak", "open_package"]

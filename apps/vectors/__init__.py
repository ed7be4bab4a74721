"""Contract test vectors: what every app must compute before and after the network, written by the Python definition."""

from s2m_edge.apps.vectors.generate import EXAMPLE_BUNDLE, INDEX_FILE, TENSORS_FILE, VECTORS, generate, write

__all__ = ["EXAMPLE_BUNDLE", "INDEX_FILE", "TENSORS_FILE", "VECTORS", "generate", "write"]

"""Contract test vectors: what every app must compute before and after the network, written by the Python definition."""

from s2m_edge.apps.vectors.generate import INDEX_FILE, TENSORS_FILE, VECTORS, generate, write

__all__ = ["INDEX_FILE", "TENSORS_FILE", "VECTORS", "generate", "write"]

"""Half an hour with a rented GPU: `python -m s2m_edge.train.gpu_day` (docs/gpu.md)."""

"""Edge targets: one folder each, one registry, one parity check. Imported as s2m_edge.targets."""

"""The demo apps, each a complete program that starts from an exported bundle. Imported as s2m_edge.apps."""

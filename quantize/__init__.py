"""The room of quantization, imported as s2m_edge.quantize. Nothing lives here in this version: float networks only."""

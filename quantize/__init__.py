"""The room of quantization, imported as s2m_edge.quantize: calibration, fine-tuning, sensitivity."""

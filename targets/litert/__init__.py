"""The LiteRT target (.tflite): channels last, one XNNPACK delegate, run by the pip runtime here and by phones."""

"""Teachers: networks that know pictures from elsewhere and teach S2M-Net; see docs/distillation.md."""

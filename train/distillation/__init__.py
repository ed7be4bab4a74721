"""Learning from another network's answers; see docs/distillation.md."""

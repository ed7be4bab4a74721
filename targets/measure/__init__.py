"""Measuring artifacts, the same for every target: parity, evaluation, benchmark."""

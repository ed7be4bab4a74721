"""Scoring a checkpoint or a bundle on labelled images: per image, means with intervals, the worst as a picture."""

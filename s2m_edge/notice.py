"""What a person who sees a mask has to know; every app, report and artifact carries it."""

from __future__ import annotations

NOTICE = "Research use only. Not a medical device."
INTENDED_USE = (
    "Research on segmentation of images like those that the checkpoint was trained on. "
    "Not for diagnosis, treatment or any other clinical decision."
)

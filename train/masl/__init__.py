"""MASL, the Morphology-Aware Adaptive Segmentation Loss (arXiv 2601.01285), as the paper means it."""

from s2m_edge.train.masl.components import boundary_loss, core_loss, scale_loss, structure_loss, texture_loss
from s2m_edge.train.masl.loss import LossParts, MorphologyAwareLoss
from s2m_edge.train.masl.morphology import Morphology, describe_morphology, soft_skeleton

__all__ = [
    "LossParts",
    "Morphology",
    "MorphologyAwareLoss",
    "boundary_loss",
    "core_loss",
    "describe_morphology",
    "scale_loss",
    "soft_skeleton",
    "structure_loss",
    "texture_loss",
]

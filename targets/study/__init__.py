"""Studies: every slice predicted with a bundle, and written in the formats that were asked for."""

from s2m_edge.targets.study.results import StudyOutputs, segment_study, study_formats
from s2m_edge.targets.study.slices import StudyPrediction, chosen_slices, predict_study

__all__ = ["StudyOutputs", "StudyPrediction", "chosen_slices", "predict_study", "segment_study", "study_formats"]

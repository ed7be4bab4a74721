"""Studies: all slices of a series or a volume, in their order, with the places where they lie."""

from s2m_edge.imaging.study.find import StudySource, find_studies
from s2m_edge.imaging.study.study import Part, Study

__all__ = ["Part", "Study", "StudySource", "find_studies"]

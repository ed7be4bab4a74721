"""The spectral filter: one definition, its matrix form, and the custom op."""

from s2m_edge.network.spectral.dft import dft_basis, dft_spectral_filter, fold_filter
from s2m_edge.network.spectral.op import QUALIFIED_NAME, spectral_filter
from s2m_edge.network.spectral.reference import reference_spectral_filter
from s2m_edge.network.spectral.resample import resample_filter

__all__ = [
    "QUALIFIED_NAME",
    "dft_basis",
    "dft_spectral_filter",
    "fold_filter",
    "reference_spectral_filter",
    "resample_filter",
    "spectral_filter",
]

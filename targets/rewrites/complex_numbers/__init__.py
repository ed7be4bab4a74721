"""Networks that compute in complex numbers, Fourier transforms among them, in real ones: no edge runtime has others."""

from s2m_edge.targets.rewrites.complex_numbers.network import RealNetwork, in_real_numbers

__all__ = ["RealNetwork", "in_real_numbers"]

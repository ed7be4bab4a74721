"""`python -m s2m_edge.apps.vectors`: writes the vectors and the example bundle anew, beside this file."""

from s2m_edge.apps.vectors.bundle import write_example_bundle
from s2m_edge.apps.vectors.generate import EXAMPLE_BUNDLE, VECTORS, write

write(VECTORS)
write_example_bundle(VECTORS / EXAMPLE_BUNDLE)

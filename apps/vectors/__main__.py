"""`python -m s2m_edge.apps.vectors`: writes the vectors and the example bundle anew, beside this file."""

import shutil

from s2m_edge.apps.vectors import dicoms
from s2m_edge.apps.vectors.encoded import FOLDER, write_encoded
from s2m_edge.apps.vectors.example import write_example
from s2m_edge.apps.vectors.generate import EXAMPLE_BUNDLE, VECTORS, write
from s2m_edge.apps.vectors.refusals import REFUSALS, write_refusals

write(VECTORS)
shutil.rmtree(VECTORS / EXAMPLE_BUNDLE)
write_example(VECTORS / EXAMPLE_BUNDLE)
write_refusals(VECTORS / REFUSALS)
write_encoded(VECTORS / FOLDER)
dicoms.write_dicoms(VECTORS / dicoms.FOLDER)

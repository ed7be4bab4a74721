"""`python -m s2m_edge.apps.vectors`: writes vectors.json and vectors.safetensors anew, beside this file."""

from s2m_edge.apps.vectors.generate import VECTORS, write

write(VECTORS)

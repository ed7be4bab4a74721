"""The MRF-SE block as one native kernel: sources only, registered by the targets that have it."""

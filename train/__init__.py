"""Training: image folders, transforms, the LightningModule. Imported as s2m_edge.train."""

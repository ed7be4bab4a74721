"""Where a prediction's time goes, by the network's blocks."""

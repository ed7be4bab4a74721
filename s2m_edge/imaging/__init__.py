"""Pictures in, pictures out: reading, the contract's preprocessing, overlays."""

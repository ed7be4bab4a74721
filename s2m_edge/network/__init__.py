"""S2M-Net: configuration, blocks, the spectral filter, and its fake-quantized form. One network among others."""

"""The benchmark: every way to run the network on this machine, side by side in one interleaved run."""

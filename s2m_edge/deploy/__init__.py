"""What is true of any deployed network: specification, contract, bundle, golden outputs, precisions."""

"""The Core ML target: exporter, runner, and a reference evaluator for machines without Core ML."""

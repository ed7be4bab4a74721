"""One check of a network for continuous integration: exported, gated, compared with the base branch, and told."""

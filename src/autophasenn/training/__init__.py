"""Training without labels: examples, steps, checkpoints, logs."""

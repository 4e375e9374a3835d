"""Results in a web browser."""

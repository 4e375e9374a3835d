"""Scattering, geometry and measures of quality: pure functions on tensors, no learning, no files, no state."""

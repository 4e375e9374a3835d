"""Scans reconstructed as they land: found, queued, phased, listed."""

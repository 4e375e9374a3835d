"""From raw frames to a pattern that can be phased."""

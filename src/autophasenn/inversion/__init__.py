"""From a pattern to its object: the network, refinement, orientations, confidence. No files."""

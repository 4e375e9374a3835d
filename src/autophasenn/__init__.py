"""From a 3-D Bragg coherent diffraction pattern to the crystal and the strain inside it."""

__version__ = "0.1.0"

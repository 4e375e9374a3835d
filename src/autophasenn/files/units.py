"""Units as files name them, in whatever letters: angles, lengths, photon energies."""

from __future__ import annotations

import numpy as np

from autophasenn.physics.bragg import JOULE

ANGLES = {
    **dict.fromkeys(("deg", "degs", "degree", "degrees", "°"), 1.0),
    **dict.fromkeys(("rad", "rads", "radian", "radians"), 180 / np.pi),
    **dict.fromkeys(("mrad", "milliradian", "milliradians"), 0.18 / np.pi),
    **dict.fromkeys(("urad", "µrad", "μrad", "microradian", "microradians"), 0.18e-3 / np.pi),
}
"""Unit, in small letters -> degrees."""
LENGTHS = {
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), 1e-2),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"), 1e-6),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 1e-9),
    **dict.fromkeys(("angstrom", "angstroms", "a", "å", "ångström", "ångstrom"), 1e-10),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-12),
}
"""Unit, in small letters -> metres."""
EV = {
    **dict.fromkeys(("ev", "electronvolt", "electronvolts", "electron volt"), 1.0),
    **dict.fromkeys(("kev", "kiloelectronvolt", "kiloelectronvolts"), 1e3),
    "mev": 1e6,
    **dict.fromkeys(("j", "joule", "joules"), 1 / JOULE),
}
"""Unit, in small letters -> eV."""

"""What every result file states, the sign convention and lengths in nanometres for people, and where it keeps what."""

SIGN_CONVENTION = (
    "With the diffracted wave psi(q) = sum_r rho(r) exp(-i q.r) the Bragg phase is phi = -G.u, so the displacement "
    "along G is u_G = -phi/|G| and the strain is du_G/dr_G."
)
NANOMETRE = 1e-9
"""Metres."""

RESULT = "result.cxi"
"""The file of a result's folder that holds the image and all that led to it."""

DETECTOR = "entry_1/instrument_1/detector_1"
"""Group of the measured counts in a result file (CXI)."""
IMAGE = "entry_1/image_1"
"""Group of the complex object, detector frame."""
PROCESS = f"{IMAGE}/process_1"
"""Group of what was done, with the calculated intensity."""
LAB_IMAGE = "entry_1/image_2"
"""Group of the image on an orthogonal grid of the laboratory frame."""

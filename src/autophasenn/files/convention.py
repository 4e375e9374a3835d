"""What every result file states: the sign convention, and lengths in nanometres for people."""

SIGN_CONVENTION = (
    "With the diffracted wave psi(q) = sum_r rho(r) exp(-i q.r) the Bragg phase is phi = -G.u, so the displacement "
    "along G is u_G = -phi/|G| and the strain is du_G/dr_G."
)
NANOMETRE = 1e-9
"""Metres."""

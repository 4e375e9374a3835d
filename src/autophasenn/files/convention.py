"""The sentence that every result file states."""

SIGN_CONVENTION = (
    "With the diffracted wave psi(q) = sum_r rho(r) exp(-i q.r) the Bragg phase is phi = -G.u, so the displacement "
    "along G is u_G = -phi/|G| and the strain is du_G/dr_G."
)

"""Networks that invert a diffraction pattern in one shot, and the loss that trains them without labels."""

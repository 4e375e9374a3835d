"""Where simulated crystals come from."""

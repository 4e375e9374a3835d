"""Where files, engine and report meet: a scan goes in, an image of the crystal comes out."""

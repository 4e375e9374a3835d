"""One module a beamline: a scan on disk becomes raw frames, detector corrections and geometry."""

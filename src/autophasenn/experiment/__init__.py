"""What a measurement makes of a crystal: beam, detector, counting, recipes of them, and the files of samples."""

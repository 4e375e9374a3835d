"""What is asked of an image: frames, lattice, strain statistics, facets, defects, profiles; tables, figures and files.

Numpy only: an image is analysed where no torch is installed. Lengths are nm and angles degrees, as in every report.
"""

"""Figures of a result: PNG files that can stand on a slide, each quantity with its unit, each length with a scale bar.

============== ================================================ =======================================================
module         function                                         picture
============== ================================================ =======================================================
overview       ``overview(image, pattern, reconstruction, ...)`` one 16:9 slide with everything that matters
slices         ``slices(image, path)``                          amplitude, phase, displacement, strain in three planes
isosurface     ``isosurface(image, path)``                      the crystal in 3-D, coloured by phase and by strain
pattern        ``pattern_comparison(pattern, result, path)``    measured against calculated counts, and the residual
convergence    ``convergence(reconstruction, path)``            chi2 against iteration, every start
prtf           ``prtf(frequencies, values, resolution, path)``  phase retrieval transfer function
aliens         ``aliens(counts, mask, centres, path)``          what was masked as belonging to another crystal
============== ================================================ =======================================================

No function keeps a figure open or touches the state of pyplot. Only `isosurface` and `overview` need OpenGL; without it
the first raises :class:`~autophasenn.report.opengl.NoOpenGLError` and the second shows slices in place of 3-D views.
"""

"""Figures of a result that can stand on a slide, each quantity with its unit, each length with a scale bar.

============== ================================================ =======================================================
module         function                                         picture
============== ================================================ =======================================================
overview       ``overview(image, pattern, found, report)``       one 16:9 slide with everything that matters
slices         ``slices(image)``                                amplitude, phase, displacement, strain in three planes
isosurface     ``isosurface(image)``                            the crystal in 3-D, coloured by phase and by strain
confidence     ``spread_map(image)``                            how uncertain amplitude and phase are
pattern        ``pattern_comparison(pattern, result)``          measured against calculated counts, and the residual
convergence    ``convergence(reconstruction)``                  chi2 against iteration, every start
prtf           ``prtf(frequencies, values, resolution)``        phase retrieval transfer function
aliens         ``aliens(counts, mask, centres)``                what was masked as belonging to another crystal
============== ================================================ =======================================================

Each returns a matplotlib ``Figure`` that pyplot does not know, for a notebook or for `style.save`, which writes PNG, PDF or
SVG. Nothing touches the state of matplotlib. Only `isosurface` and `overview` need OpenGL; without it the first raises
:class:`~autophasenn.report.opengl.NoOpenGLError` and the second shows slices in place of 3-D views. Where both are drawn,
`isosurface.CrystalViews` computes and renders the surface once.
"""

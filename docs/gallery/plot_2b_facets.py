"""
Facets, layers, defects
=======================

What is asked of an image: which facet is strained, and by how much; how far the strain reaches; whether there is a
dislocation. Every number has its uncertainty, and what cannot be answered has its reason. ``autophasenn analyse`` writes the
same as tables, volumes and figures.
"""

import autophasenn as ap
from autophasenn.analysis import figures, figures_facets
from autophasenn.pipeline.example import EXAMPLE

result = ap.reconstruct(EXAMPLE, method="network")
found = ap.analyse(result, options=ap.AnalysisOptions(material="Au"))
for facet in found.facets[:5]:
    strain, error = 1e4 * facet.strain.mean.value, 1e4 * facet.strain.mean.uncertainty
    print(f"{facet.title}: {facet.area.value:.0f} nm2, strain ({strain:.1f} +- {error:.1f}) 1e-4")
print(f"dislocations: {len(found.dislocations.lines)}")
for note in found.notes:
    print("-", note)

# %%
# The surface's normals, stereographically with Q in the middle: where area is gathered, there is a facet.

figures_facets.pole_figure(found)

# %%
# The strain of the whole crystal, of its surface and of its inside, and layer by layer.

figures.strain(found)

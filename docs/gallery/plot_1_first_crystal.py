"""
A first crystal
===============

The bundled pattern, from counts to the strain inside: one call. In a notebook, a result shows itself.
"""

import autophasenn as ap
from autophasenn.pipeline.example import EXAMPLE

result = ap.reconstruct(EXAMPLE)
print(result.report.message)
result.plot()

"""
How far to believe an image
===========================

The pattern is inverted from several orientations. What the images share can be believed; where they differ, the phase
and the amplitude are uncertain. From this, and from how well the pattern is explained, comes one number: the chance
that the image is right.
"""

import autophasenn as ap
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.report.confidence import spread_map
from autophasenn.report.words import facts

result = ap.reconstruct(EXAMPLE, confidence=3)
print(result.report.message)
print(facts(result.report)["confidence"])
spread_map(result.image)

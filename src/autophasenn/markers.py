"""What the numbers in a detector's file may mean."""

from __future__ import annotations

from typing import Literal

Marks = Literal["measured", "bad"]
"""What 1 stands for in a mask."""
Values = Literal[
    "counts",
    "amplitudes",
    "cube roots",
    "fourth roots",
    "log(1+n)",
    "log10(1+n)",
    "log2(1+n)",
    "log(n)",
    "log10(n)",
]
"""What was stored of n counts; amplitudes are their square roots (`preprocessing.units.SCALES`)."""

GAP_MARKERS = (-1, -2)
"""Negative values that Dectris and Maxipix detectors write for gaps and bad pixels."""
NO_COUNTS = (2**31 - 1, 2**32 - 2, 2**32 - 1)
"""The same in 32 bits without sign, and the largest value of 32 bits with sign: no pixel counts so far, in whichever type
the file holds them."""
SHORT_MARKER = 2**16 - 1
"""Gap marker of 16 bits. In a wider type it may be a count, and is a marker only in pixels that hold it in every frame."""

"""Detectors by name: size, pixels, and the rows and columns that no chip covers.

Sources: bcdi 2b75755 (`experiment/detector.py`), cdiutils 0.2.1 (`io/loader.py`), cohere-beamlines 4.5.6
(`Petra3_P10/detectors.py`). Ranges name the first and the last masked row or column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[int, int]


@dataclass(frozen=True)
class KnownDetector:
    """A detector that beamlines use.

    Parameters
    ----------
    name : str
    shape : (rows, columns)
        Of the whole detector.
    pixel_size_m : float
        Edge of its square pixels, metres.
    rows, columns : tuple of (first, last)
        That are masked over the whole width or height: gaps between chips and modules, edges.
    blocks : tuple of ((first, last) row, (first, last) column)
        Areas that are known to be bad.
    saturation : float, optional
        Counts at which a pixel is full.
    aliases : tuple of str
        Other names under which files keep it.
    is_stored_closed : bool
        Whether files leave the gap between its chips out: its one range of `rows` and of `columns`.
    """

    name: str
    shape: tuple[int, int]
    pixel_size_m: float
    rows: tuple[Range, ...] = ()
    columns: tuple[Range, ...] = ()
    blocks: tuple[tuple[Range, Range], ...] = ()
    saturation: float | None = None
    aliases: tuple[str, ...] = ()
    is_stored_closed: bool = False

    @property
    def gap(self) -> tuple[Range, Range] | None:
        """First and last row, and column, of the gap that files leave out; None where they leave none out."""
        return (self.rows[0], self.columns[0]) if self.is_stored_closed else None

    @property
    def stored_shape(self) -> tuple[int, int]:
        """Rows and columns as files have them."""
        missing = (0, 0) if self.gap is None else tuple(last - first + 1 for first, last in self.gap)
        return self.shape[0] - missing[0], self.shape[1] - missing[1]

    def opened(self, row: int, column: int) -> tuple[float, float]:
        """A pixel of the stored image, on the whole detector with its gap."""
        if self.gap is None:
            return float(row), float(column)
        at = [n + (last - first + 1) * (n >= first) for n, (first, last) in zip((row, column), self.gap, strict=True)]
        return float(at[0]), float(at[1])

    def mask(self) -> np.ndarray | None:
        """True = measured, bool (rows, columns) of the whole detector; None where all of it measures."""
        if not (self.rows or self.columns or self.blocks):
            return None
        measured = np.ones(self.shape, bool)
        for first, last in self.rows:
            measured[first : last + 1] = False
        for first, last in self.columns:
            measured[:, first : last + 1] = False
        for (top, bottom), (left, right) in self.blocks:
            measured[top : bottom + 1, left : right + 1] = False
        return measured


DETECTORS = (
    KnownDetector(
        "maxipix", (516, 516), 55e-6, ((255, 260),), ((255, 260),), (), 1e6, ("mpx1x4", "mpxgaas", "mpx4", "mpx1x4inr")
    ),
    KnownDetector(
        "eiger2M",
        (2164, 1030),
        75e-6,
        ((255, 258), (511, 551), (804, 808), (1061, 1101), (1355, 1358), (1611, 1651), (1905, 1908)),
        ((255, 258), (513, 516), (771, 774)),
        (((0, 256), (72, 79)), ((1649, 1909), (620, 627))),
        1e7,
        ("ei2m", "ei2minr", "eiger_2m"),
    ),
    KnownDetector(
        "eiger4M",
        (2167, 2070),
        75e-6,
        ((0, 0), (513, 551), (1064, 1102), (1615, 1653), (2166, 2166)),
        ((0, 0), (1029, 1040), (2069, 2069)),
        aliases=("e4m",),
    ),
    KnownDetector(
        "eiger9M",
        (3262, 3108),
        75e-6,
        ((0, 0), (512, 549), (1062, 1099), (1612, 1649), (2162, 2199), (2712, 2749), (3261, 3261)),
        ((0, 0), (513, 514), (1028, 1039), (1553, 1554), (2068, 2079), (2593, 2594), (3107, 3107)),
        aliases=("eiger",),
    ),
    KnownDetector("eiger500k", (512, 1028), 75e-6, aliases=("e2500", "eiger_500k")),
    KnownDetector("s28eiger2-si", (512, 1028), 75e-6),
    KnownDetector("merlin", (515, 515), 55e-6, ((255, 259),), ((255, 259),), (), 1e6),
    KnownDetector("merlinSixS", (512, 512), 55e-6, ((254, 256),), ((254, 256),)),
    KnownDetector("lambda", (516, 516), 55e-6, saturation=1.5e6),
    KnownDetector("timepix", (256, 256), 55e-6, saturation=11810.0),
    KnownDetector("34idcTIM1", (256, 256), 55e-6, saturation=11810.0),
    # Gap sizes as the beamline's own software opens them: cohere-ui, beamlines/aps_34idc/detectors.py, insert_seam.
    KnownDetector(
        "34idcTIM2", (517, 516), 55e-6, ((256, 260),), ((256, 259),), saturation=11810.0, is_stored_closed=True
    ),
    KnownDetector("ASI", (518, 518), 55e-6),
    KnownDetector("BSE", (4096, 4096), 7.8e-6),
    KnownDetector("7iddrobot", (1028, 1062), 75e-6),
)


def known_detector(name: str | None) -> KnownDetector | None:
    """The detector of this name, in capitals or not; None where it is not known."""
    wanted = (name or "").lower()
    return next((d for d in DETECTORS if wanted in {d.name.lower(), *(a.lower() for a in d.aliases)}), None)

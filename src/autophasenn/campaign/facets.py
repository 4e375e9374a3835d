"""Facets followed over a series: numbered as those of the reference, found again in each image by how they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autophasenn.analysis.facet_series import as_placed, matched
from autophasenn.analysis.series import Placed
from autophasenn.campaign.measured import facet_names
from autophasenn.campaign.table import Row

MOST = 20
"""Facets of the reference that are followed, the largest."""


def followed(rows: Sequence[Row], placed: Mapping[str, Placed], reference: str) -> list[Row]:
    """Every row of the reference's crystal with strain and area of its facets, numbered as those of the reference.

    Parameters
    ----------
    rows : sequence of Row
    placed : dict of str to Placed
        How each image lies in the series.
    reference : str
        Key of a row.
    """
    known = next((row.facets for row in rows if row.key == reference), ())[:MOST]
    crystal = placed[reference].crystal
    found = []
    for row in rows:
        where = placed.get(row.key)
        if where is None or where.crystal != crystal or not known or not row.facets:
            found.append(row)
            continue
        values, errors = dict(row.values), dict(row.errors)
        for number, index in matched(
            known, [as_placed(facet, where.shift, is_twin=where.is_twin) for facet in row.facets]
        ).items():
            facet = row.facets[index]
            numbers = ((facet.strain, facet.strain_error), (facet.area, facet.area_error))
            for name, (value, error) in zip(facet_names(number + 1), numbers, strict=True):
                if value is not None:
                    values[name] = value
                if value is not None and error is not None:
                    errors[name] = error
        found.append(replace(row, values=values, errors=errors))
    return found

"""From measures to points and scores.

R.E.N.A.L.: Kutikov and Uzzo, J Urol 2009, 182:844-853. PADUA: Ficarra et al., Eur Urol 2009,
56:786-793. C-index: Simmons et al., J Urol 2010, 183:1708-1713. docs/conventions.md has the rules.
"""

from __future__ import annotations

from typing import NamedTuple

from renalseg.findings.nephrometry.measures import Place
from renalseg.scores import Component, Nephrometry

ENDOPHYTIC_PERCENT = 1.0  # outside of the kidney: less is none but for the steps of the voxels
TOUCHES_MM = 2.0  # between voxel centers: nearer ones are neighbors


class Outline(NamedTuple):
    """Measures that need no sinus.

    Attributes:
        size: Longest diameter in mm.
        exophytic: Percent outside of the kidney.
    """

    size: float
    exophytic: float


def score(outline: Outline, place: Place | None, reason: str | None) -> Nephrometry:
    """Give the points of each measure, and the scores if there is a place.

    Args:
        outline: Size and exophytic share of a tumor.
        place: Where it lies in its kidney; None where this cannot be told.
        reason: Why not.
    """
    size, exophytic = outline
    share = 1 if exophytic >= 50 else 2 if exophytic > ENDOPHYTIC_PERCENT else 3
    components = {
        "size": Component(
            size,
            1 if size <= 40 else 2 if size < 70 else 3,
            1 if size <= 40 else 2 if size <= 70 else 3,
        ),
        "exophytic": Component(exophytic, share, share),
    }
    if place is None:
        return Nephrometry(components=components, reason=reason)
    touches = place.sinus < TOUCHES_MM
    components |= {
        "sinus": Component(
            place.sinus,
            1 if place.sinus >= 7 else 2 if place.sinus > 4 else 3,
            2 if touches else 1,
        ),
        # The collecting system lies in the sinus and is not labeled: it counts as touched with it.
        "collecting": Component(place.sinus, None, 2 if touches else 1),
        "between": Component(place.between, _location(place), 2 if place.between > 50 else 1),
        "polar": Component(place.polar),
        "face": Component(place.face),
        "rim": Component(place.rim, None, 2 if place.rim > 0 else 1),
        "center": Component(place.center),
    }
    renal = sum(each.renal or 0 for each in components.values())
    padua = sum(each.padua or 0 for each in components.values())
    hilar = "h" if place.mouth < TOUCHES_MM else ""
    return Nephrometry(
        renal=f"{renal}{place.side}{hilar}",
        padua=f"{padua}{place.side}",
        c_index=round(place.center / (size / 2), 2) if size else None,
        components=components,
        reason=None if size else "The tumor is a single voxel",
    )


def _location(place: Place) -> int:
    """Points of L: which share lies between the polar lines, and whether it crosses the middle."""
    if place.between > 50 or place.crosses_middle:
        return 3
    return 2 if place.between > 0 else 1

"""Contrast phases of an abdominal CT."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Generator


class Phase(IntEnum):
    """Contrast phase of an abdominal CT."""

    NON_CONTRAST = 0
    CORTICOMEDULLARY = 1
    PORTAL = 2
    EXCRETORY = 3


PHASE_SHARES = (0.2, 0.25, 0.4, 0.15)  # portal-venous most often, as in clinical renal CT


def draw_phase(generator: Generator, shares: Sequence[float] = PHASE_SHARES) -> Phase:
    """A contrast phase; `shares` are those of the four phases."""
    weights = torch.tensor(list(shares))
    return Phase(int(torch.multinomial(weights, 1, generator=generator)))

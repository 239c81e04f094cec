"""Probabilities of lesions as files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from renalseg.dicom.write.probability import MOST
from renalseg.evidence import LESIONS, Evidence
from renalseg.grids import Grid
from renalseg.intake.ct import CT
from renalseg.labels import LABELS
from renalseg.output.label_maps import PROBABILITY_SUFFIX, to_source
from renalseg.volumes.nifti import save_nifti

PROBABILITY = "probability"
Maps = Mapping[int, npt.NDArray[np.uint8]]


def probability_maps(ct: CT, evidence: Evidence | None) -> Maps:
    """Give the probabilities of tumor and cyst (X, Y, Z), from 0 to `MOST`, by kind.

    A kind that is never probable has none; all are missing where there is no evidence.

    Args:
        ct: The source; the maps lie on the grid of its image.
        evidence: Of the labels that were found in it.
    """
    grid = Grid.of(ct.image)
    box = None if evidence is None else evidence.box(grid)
    if evidence is None or box is None:
        return {}
    maps = {}
    for kind, probs in zip(LESIONS, evidence.on(grid.crop(box)), strict=True):
        values = np.rint(MOST * probs.numpy()).astype(np.uint8)
        if values.any():
            # in memory slice by slice, as it is written
            whole = np.zeros(grid.shape[::-1], np.uint8).transpose()
            whole[box] = values
            maps[kind] = whole
    return maps


def write_probabilities(ct: CT, maps: Maps, stem: Path) -> Iterator[str]:
    """Write a NIfTI file with the values 0 to 1 for each kind, and give the names of the files.

    Args:
        ct: The source.
        maps: Of `probability_maps`.
        stem: Path of the files without what tells them apart.

    Raises:
        OSError: A file cannot be written.
    """
    for kind, values in maps.items():
        path = stem.with_name(f"{stem.name}-{LABELS[kind].name}{PROBABILITY_SUFFIX}")
        save_nifti(*to_source(ct, values), path, slope=1 / MOST)
        yield path.name

"""Two times of a drawn patient: each kidney breathed, a tumor grew, one is new, one is gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.ct import write_ct_series
from renalseg.inference.choice import Choice
from renalseg.inference.methods import default_numbers
from renalseg.settings import Settings
from tests.factories.bodies import EARLY, Body, breathed
from tests.factories.results import write_as_run

BEFORE = {"StudyDate": "20240301", "AcquisitionDate": "20240301"}
AFTER = {"StudyDate": "20250301", "AcquisitionDate": "20250301"}  # 365 days later
CHOICE = Choice(
    Path("bundles"), "kidney_x", "tumor_x", torch.device("cpu"), numbers=default_numbers()
)


def body(*, right: float = 0.0, left: float = 0.0, radius: float = 15.0, old: bool = True) -> Body:
    """A patient whose kidneys went up by some mm.

    Args:
        right: How far the right kidney went.
        left: How far the left one did.
        radius: Of the tumor in the right kidney.
        old: Whether the left kidney has its upper tumor; else it has a lower one.
    """
    drawn = breathed(EARLY, right, left)
    drawn.tumor((85, -35, right + 30), radius, 120)
    drawn.tumor((-80, -35, left + (35 if old else -35)), 9, 120)
    return drawn


def later() -> Body:
    """The patient of `body` a year later."""
    return body(right=12, left=-8, radius=18, old=False)


def write_time(
    folder: Path,
    drawn: Body,
    attributes: Mapping[str, str],
    outputs: tuple[str, ...] = ("seg", "sr", "pdf"),
) -> CTSeries:
    """Writes a CT into `ct` and the result of its drawn labels into `out`.

    Args:
        folder: Gets both.
        drawn: What it shows.
        attributes: Of the CT.
        outputs: What is written.
    """
    seed = sum(map(ord, folder.name))
    image, labels = drawn.volumes(seed=seed)
    hu = image[0].numpy().astype(np.int16)
    write_ct_series(folder / "ct", hu, image.affine.numpy(), seed=seed, attributes=attributes)
    series = read_series(folder / "ct")
    pred = MetaTensor(labels.as_tensor(), affine=series.image.affine)
    write_as_run(series, pred, folder / "out", Settings(CHOICE, outputs=outputs))
    return series

"""Removal of tumors and cysts that are too small."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from renalseg.components import Box, Mask, bounding_box, components
from renalseg.geometry import Array, voxel_volume_mm3
from renalseg.labels import CYST, KIDNEY, TUMOR


class DropSmallTumorsd(MapTransform):
    """Turns tumors and cysts below a minimum volume back into kidney.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY`, `TUMOR` and, of some methods, `CYST`.
        min_volume_mm3: Smaller components of `TUMOR` and `CYST` become `KIDNEY`.
    """

    def __init__(self, keys: KeysCollection, min_volume_mm3: float):
        super().__init__(keys)
        self.min_volume_mm3 = min_volume_mm3

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` without the small components."""
        result = dict(data)
        for key in self.key_iterator(result):
            for kind in (TUMOR, CYST):
                result[key] = given_back(
                    result[key], lambda box, numbered, volumes: volumes < self.min_volume_mm3, kind
                )
        return result


def given_back(
    pred: MetaTensor,
    unwanted: Callable[[Box, npt.NDArray[np.int32], Array], Mask],
    kind: int = TUMOR,
) -> MetaTensor:
    """Returns a copy in which some tumors are `KIDNEY`; the label map itself without tumors.

    Args:
        pred: Label map (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
        unwanted: Gets the box of the tumors, their components in it, numbered from 1, and the
            volumes of these in mm3; returns for each component whether it is removed.
        kind: `TUMOR`, or another label to treat in its place.
    """
    labels = pred[0].cpu().numpy()
    box = bounding_box(labels == kind)
    if box is None:
        return pred
    numbered, sizes = components(labels[box] == kind)
    volumes = np.asarray(sizes * voxel_volume_mm3(np.asarray(pred.affine)), np.float64)
    labels = labels.copy()
    labels[box][np.isin(numbered, np.flatnonzero(unwanted(box, numbered, volumes)) + 1)] = KIDNEY
    return MetaTensor(torch.from_numpy(labels)[None], affine=pred.affine)

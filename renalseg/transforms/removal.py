"""Removal of what a network outlines wrongly: fat, fluid, small and unconfirmed tumors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.components import Box, Mask, bounding_box, components, within
from renalseg.geometry import Array, voxel_volume_mm3
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.transforms.keep_largest import cleared


class DropFatd(MapTransform):
    """Removes perirenal and sinus fat from kidney masks found on a coarser grid.

    Enclosed fat stays: it belongs to a structure in the kidney, such as an angiomyolipoma.

    Args:
        keys: Masks (1, X, Y, Z) of kidneys with their tumors.
        image_key: HU (1, X, Y, Z) on the same grid.
        fat_hu: Voxels below it are fat.
    """

    def __init__(self, keys: KeysCollection, image_key: str, fat_hu: float):
        super().__init__(keys)
        self.image_key = image_key
        self.fat_hu = fat_hu

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with masks (1, X, Y, Z) uint8 without fat."""
        result = dict(data)
        image = result[self.image_key][0]
        for key in self.key_iterator(result):
            mask = result[key][0].cpu().numpy()
            box = bounding_box(mask)
            if box is None:
                continue
            lean = (mask[box] > 0) & (image[box].cpu().numpy() >= self.fat_hu)
            kept = np.zeros(mask.shape, np.uint8)
            kept[box] = ndimage.binary_fill_holes(lean)
            result[key] = MetaTensor(torch.from_numpy(kept)[None], affine=result[key].affine)
        return result


class DropFluidTumorsd(MapTransform):
    """Removes tumors of fluid attenuation, which are cysts, from the probabilities.

    Fluid is below 20 HU by the Bosniak classification of cystic masses; the tumors of real KiTS19
    slices have a mean of 32 to 131 HU per patient.

    Args:
        keys: MetaTensors (1, X, Y, Z), probabilities.
        image_key: HU (1, X, Y, Z) on the same grid; removed afterward.
        fluid_hu: Components whose median is lower are set to 0.
        threshold: A voxel belongs to a tumor where its probability is larger.
    """

    def __init__(
        self, keys: KeysCollection, image_key: str, fluid_hu: float, threshold: float = 0.5
    ):
        super().__init__(keys)
        self.image_key = image_key
        self.fluid_hu = fluid_hu
        self.threshold = threshold

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` without these tumors, and without the image."""
        result = dict(data)
        image = result.pop(self.image_key)[0].cpu().numpy()
        for key in self.key_iterator(result):
            probs = result[key]
            mask = probs[0].detach().cpu().numpy() > self.threshold
            box = bounding_box(mask)
            if box is None:
                continue
            numbered, sizes = components(mask[box])
            numbers = np.arange(1, len(sizes) + 1)
            fluid = numbers[ndimage.median(image[box], numbered, numbers) < self.fluid_hu]
            if len(fluid):
                result[key] = cleared(probs, box, np.isin(numbered, fluid))
        return result


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
    """Returns a copy in which some tumors are `KIDNEY`, or the label map itself if none is.

    Args:
        pred: Label map (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
        unwanted: Gets the box of the tumors, their components in it, numbered from 1, and the
            volumes of these in mm3; returns for each component whether it is removed.
        kind: `TUMOR`, or another label to treat in its place.
    """
    labels = pred[0].cpu().numpy()
    labeled = bounding_box(labels)
    part = None if labeled is None else bounding_box(labels[labeled] == kind)
    if labeled is None or part is None:
        return pred
    box = within(part, labeled)
    numbered, sizes = components(labels[box] == kind)
    volumes = np.asarray(sizes * voxel_volume_mm3(np.asarray(pred.affine)), np.float64)
    numbers = np.flatnonzero(unwanted(box, numbered, volumes)) + 1
    if not len(numbers):
        return pred
    labels = labels.copy()
    labels[box][np.isin(numbered, numbers)] = KIDNEY
    return MetaTensor(torch.from_numpy(labels)[None], affine=pred.affine)


class KeepConfirmedTumorsd(MapTransform):
    """Turns tumors back into kidney if another network confirms too little of them.

    Networks that were built and trained independently rarely mistake the same cyst for a tumor.

    Args:
        keys: Label maps (1, X, Y, Z) with `KIDNEY` and `TUMOR`.
        other_key: Label map of the other network on the same grid.
        min_share: A component of `TUMOR` becomes `KIDNEY` if the other labels a smaller share of it
        `TUMOR`.
    """

    def __init__(self, keys: KeysCollection, other_key: str, min_share: float):
        super().__init__(keys)
        self.other_key = other_key
        self.min_share = min_share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` without the tumors that are not confirmed."""
        result = dict(data)
        other = result[self.other_key][0].cpu().numpy()

        def unconfirmed(box: Box, numbered: npt.NDArray[np.int32], volumes: Array) -> Mask:
            numbers = np.arange(1, len(volumes) + 1)
            seen = ndimage.mean(other[box] == TUMOR, numbered, numbers)
            return np.asarray(seen < self.min_share)

        for key in self.key_iterator(result):
            result[key] = given_back(result[key], unconfirmed)
        return result

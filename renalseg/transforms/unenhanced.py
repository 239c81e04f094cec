"""CTs without their contrast medium, for training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import GaussianSmooth, MapTransform, RandomizableTransform
from scipy import ndimage
from torch import Tensor

from renalseg.labels import KIDNEY
from renalseg.transforms.localizer_errors import close

_SEEN_HU = (-1024.0, 30.0, 60.0, 110.0, 300.0)  # only soft tissue with contrast medium changes
_KEPT_HU = (-1024.0, 30.0, 48.0, 56.0, 58.0)
_FLUID_HU = 30.0
_ENHANCED_HU = 70.0  # kidneys below that have no contrast medium
_KIDNEY_HU = (24.0, 38.0)  # without it
_BONE_HU, _SPONGIOSA_HU, _SPONGIOSA_VOXELS = 220.0, 80.0, 4
_OUTSIDE = 0.1  # of the blurred kidneys
_FAT_HU = -30.0
_NOISE_HU = 8.0


class RandUnenhancedd(RandomizableTransform, MapTransform):
    """Takes the contrast medium out of a CT, roughly: kidneys as dark as muscle or darker.

    Public CTs with labels of kidneys are nearly all enhanced, but hospitals send others, too. Soft
    tissue is pressed together below 58 HU, kidneys and tumors go to 24 to 38 HU, and noise comes
    in place of what was pressed. Bone and what is as bright stays. A CT whose kidneys are not
    enhanced stays as it is.

    Args:
        keys: Images (1, X, Y, Z) in HU.
        prob: Share of the items that are changed.
        label_key: Their label (1, X, Y, Z): 0 background, 1 kidney, above it lesions.
    """

    def __init__(self, keys: KeysCollection, prob: float = 0.3, label_key: str = "label"):
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the images changed, float32."""
        result = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(result):
                result[key] = self._unenhanced(result[key], result[self.label_key])
        return result

    def _unenhanced(self, image: Tensor, label: Tensor) -> Tensor:
        kidney = image[label == KIDNEY]
        if not len(kidney) or (level := float(kidney.median())) < _ENHANCED_HU:
            return image
        # a soft edge: a sharp one would outline kidneys by a rim that no scan has
        kidneys = torch.from_numpy(ndimage.maximum_filter(label.numpy() > 0, (1, 3, 3, 3)))
        share = GaussianSmooth(sigma=1.0)(kidneys.float())
        bone = close(image > _BONE_HU, _SPONGIOSA_VOXELS) & (image > _SPONGIOSA_HU)
        stays = (bone & (share < _OUTSIDE)) | (image < _FAT_HU)
        below = _pressed(level) - self.R.uniform(*_KIDNEY_HU)
        noise = self.R.standard_normal(image.shape).astype(np.float32)
        noise *= self.R.uniform(0.0, _NOISE_HU)
        changed = _pressed(image) + torch.from_numpy(noise)
        # fluid and fat among kidney are as dark as before
        changed -= below * share * ((image - _FLUID_HU) / _FLUID_HU).clamp(0, 1)
        return torch.where(stays, image, changed)


def _pressed(image: Tensor | float) -> Tensor:
    """HU along the lines from `_SEEN_HU` to `_KEPT_HU`."""
    return torch.as_tensor(np.interp(image, _SEEN_HU, _KEPT_HU), dtype=torch.float32)

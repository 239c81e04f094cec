"""Lesions count where the network is sure of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

from renalseg.labels import CYST, TUMOR

_NEVER = -1000.0  # a logit that no other is below


class KeepSureLesionsd(MapTransform):
    """Lowers the logits of lesions, and takes away the lesions that the network doubts.

    Training shows lesions far more often than patients have them, so a network calls too much a
    lesion. A voxel is one if the logit of its class leads by `margin`. A connected lesion is kept
    if, of its voxels, at least a `share` leads by `sure`.

    Args:
        keys: Logits (C, X, Y, Z), background and kidney first, then tumor and cyst.
        margin: Of tumor and of cyst.
        sure: Likewise, larger.
        share: Of the voxels of a lesion.
    """

    def __init__(
        self,
        keys: KeysCollection,
        margin: tuple[float, float],
        sure: tuple[float, float],
        share: float,
    ) -> None:
        super().__init__(keys)
        self.margin = margin
        self.sure = sure
        self.share = share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Returns `data` with the logits changed."""
        result = dict(data)
        for key in self.key_iterator(result):
            logits = result[key]
            sure = _called(_lowered(logits, self.sure))
            lowered = _lowered(logits, self.margin)
            called = _called(lowered)
            for kind in (TUMOR, CYST):
                doubted = _doubted(called == kind, sure == kind, self.share)
                lowered[kind][torch.from_numpy(doubted).to(lowered.device)] = _NEVER
            result[key] = lowered
        return result


def _lowered(logits: Any, by: tuple[float, float]) -> Any:
    lowered = logits.clone()
    for kind, margin in zip((TUMOR, CYST), by, strict=True):
        lowered[kind] -= margin
    return lowered


def _called(logits: Any) -> np.ndarray:
    # torch's argmax takes eight times as long along the first axis
    called: np.ndarray = torch.as_tensor(logits).max(dim=0).indices.cpu().numpy()
    return called


def _doubted(lesions: np.ndarray, sure: np.ndarray, share: float) -> np.ndarray:
    """The voxels (X, Y, Z) of those lesions of which less than a share is sure."""
    numbered, count = ndimage.label(lesions)
    voxels = np.bincount(numbered.ravel(), minlength=count + 1)
    certain = np.bincount(numbered[sure], minlength=count + 1)
    few = certain < share * voxels
    few[0] = False
    doubted: np.ndarray = few[numbered]
    return doubted

"""Detection of tumors: found and missed ones, their sizes, and false positives.

Lesions are connected components (26 neighbors). A predicted component finds a labeled one if their
intersection over union is at least 0.1. One prediction finds one lesion, paired so that the number
found is largest. A prediction that overlaps no lesion that far is a false positive. This is the
rule of the PI-CAI challenge (`evaluate_case` of github.com/DIAGNijmegen/picai_eval); its threshold
is that of nnDetection, too (Baumgartner et al. 2021, arXiv:2106.00817).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from renalseg import labels
from renalseg.components import Mask, bounding_box, components
from renalseg.findings.measurements import longest_diameter
from renalseg.geometry import voxel_volume_mm3

MIN_IOU = 0.1
MIN_LESION_MM3 = 100.0  # smaller components are specks of the labeling, and count as none
SIZES_CM = (2, *labels.SIZES_CM)  # limits of strata: those of results, and one of small tumors


class Lesion(NamedTuple):
    """A tumor of the label.

    Attributes:
        diameter_mm: Longest diameter, as results measure it.
        volume_ml: Volume.
        iou: With the prediction that found it; 0 if it was missed.
    """

    diameter_mm: float
    volume_ml: float
    iou: float

    @property
    def found(self) -> bool:
        """Whether a prediction overlaps it far enough."""
        return self.iou > 0


class Detections(NamedTuple):
    """The tumors of a case that a prediction found.

    Attributes:
        lesions: The tumors of the label, the largest first.
        false_positives_ml: Volumes of the predictions that overlap no lesion far enough.
    """

    lesions: tuple[Lesion, ...]
    false_positives_ml: tuple[float, ...]


def match_lesions(pred: Mask, label: Mask, affine: npt.ArrayLike) -> Detections:
    """Matches the tumors of a prediction with those of a label.

    Args:
        pred: (X, Y, Z), true in tumors.
        label: (X, Y, Z), the same on the same grid.
        affine: (4, 4) from voxel centers to RAS mm.
    """
    box = bounding_box(pred | label)
    if box is None:
        return Detections((), ())
    pred, label = pred[box], label[box]
    ml = voxel_volume_mm3(affine) / 1000
    (labeled, sizes), (found, found_sizes) = (_lesions(mask, 1000 * ml) for mask in (label, pred))
    shape = (len(sizes) + 1, len(found_sizes) + 1)
    pairs = np.ravel_multi_index((labeled.ravel(), found.ravel()), shape)
    common = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)[1:, 1:]
    iou = common / (sizes[:, None] + found_sizes[None, :] - common)
    iou[iou < MIN_IOU] = 0
    # first as many matches as can be, then the largest overlap
    rows, columns = linear_sum_assignment(np.where(iou > 0, 1 + iou, 0), maximize=True)
    best = np.zeros(len(sizes))
    best[rows] = iou[rows, columns]
    return Detections(
        lesions=tuple(
            Lesion(longest_diameter(labeled == i + 1, affine), float(size * ml), float(best[i]))
            for i, size in enumerate(sizes)
        ),
        false_positives_ml=tuple(
            float(size * ml) for j, size in enumerate(found_sizes) if not iou[:, j].any()
        ),
    )


def _lesions(mask: Mask, voxel_mm3: float) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Returns numbered components without specks, and their sizes in voxels."""
    numbered, sizes = components(mask)  # the largest first, so that those that stay are 1, 2, ...
    kept = int((sizes * voxel_mm3 >= MIN_LESION_MM3).sum())
    numbered[numbered > kept] = 0
    return numbered, sizes[:kept]

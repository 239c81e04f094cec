"""Points for how well a stack of slices suits the search for kidneys."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from renalseg.dicom.read.contrast import Contrast, contrast_of
from renalseg.dicom.read.slice_grid import OrderedSlices
from renalseg.dicom.tags import Instance
from renalseg.geometry import spacing_of

ENOUGH_MM = 240.0  # extent along the normal that covers both kidneys
FINE_MM, COARSE_MM = 1.5, 6.0  # finer brings no more points, coarser none

_TEXTS = ("SeriesDescription", "ProtocolName")
# Beginnings of words, behind anything but a letter: URO is no part of NEURO. Compounds run words
# together, as in THORAXABDOMEN, where what they join is long enough to be meant.
_WORD, _END = r"(?<![^\W\d_])", r"(?![^\W\d_])"
_ABDOMEN = re.compile(
    rf"ABD(?!UCT)|PELVI|{_WORD}(?:KIDNEY|RENAL|ADRENAL|URO|TORSO|TRUNK|WHOLE ?BODY"
    rf"|(?:TAP|CAP|KUB){_END})"
)
_CHEST = re.compile(rf"THORA|{_WORD}(?:CHEST|LUNG|HEART|CARDI|CORONARY)")
_ELSEWHERE = re.compile(
    rf"{_WORD}(?:HEAD|BRAIN|SKULL|NECK|SINUS|ORBIT|JAW|TEETH|[CT] ?SPINE|CERVI|NEURO|FACE|"
    r"KNEE|FOOT|ANKLE|HAND|WRIST|ELBOW|SHOULDER|HUMERUS|FEMUR|TIBIA|(?:LOWER|UPPER)? ?LEG|EXTREM)"
)
_SHARP_NAME = re.compile(r"LUNG|BONE|EDGE|DETAIL|SHARP|^(L|D|E|Y[A-E])$|^FC(3[0-9]|5[0-9]|8[0-9])")
_SOFT_NAME = re.compile(r"STANDARD|SOFT|STND|SMOOTH|^[ABC]$|^FC[01][0-9]")
_SIEMENS = re.compile(r"^[A-Z]+(\d{2})")  # B30f, Br40, I31f: from 10, soft, to 90, sharp
# A portal-venous series of 5 mm outranks a native one of 1.5 mm, which has 2.3 points more for its
# slices; a limited one of 6 cm does not outrank a native one of the whole abdomen.
_CONTRAST = {
    Contrast.VENOUS: 4.0,
    Contrast.ARTERIAL: 3.5,
    Contrast.SOME: 3.5,
    Contrast.LATE: 3.0,
    Contrast.NATIVE: 0.0,
}


def score(instances: tuple[Instance, ...], grid: OrderedSlices) -> Mapping[str, float]:
    """Score a stack of slices.

    Args:
        instances: The slices.
        grid: Their volume.

    Returns:
        Points by trait, and their sum as "total". The number of slices only breaks ties.
    """
    first = instances[0]
    normal = grid.affine[:3, 2] / np.linalg.norm(grid.affine[:3, 2])
    step = float(spacing_of(grid.affine)[2])
    points = {
        "axial": 8.0 if abs(normal[2]) > np.sqrt(0.5) else 0.0,
        "original": 4.0 if "ORIGINAL" in first.words("ImageType") else 0.0,
        "coverage": 4 * min(1.0, step * (grid.shape[2] - 1) / ENOUGH_MM),
        "thin slices": 3 * float(np.clip((COARSE_MM - step) / (COARSE_MM - FINE_MM), 0, 1)),
        "body part": body_part_points(" ".join(first.words("BodyPartExamined")), _texts(first)),
        "kernel": _kernel(first),
        "contrast": _contrast(first),
        "slices": min(len(instances), 1000) / 1000,
    }
    points["total"] = sum(points.values())
    return {name: round(value, 3) for name, value in points.items()}


def names_another_part(told: str) -> bool:
    """Return whether BodyPartExamined names a body part without kidneys; a chest shows their poles.

    Args:
        told: The attribute's value.
    """
    told = told.upper()
    return _ABDOMEN.search(told) is None and _ELSEWHERE.search(told) is not None


def _texts(instance: Instance) -> str:
    return " ".join(" ".join(instance.words(keyword)) for keyword in _TEXTS)


def body_part_points(told: str, texts: str) -> float:
    """Return points for the body part.

    Args:
        told: BodyPartExamined, in capitals.
        texts: What series and protocol are called, in capitals.
    """
    # Free text is believed where it names the abdomen; that it names another part proves nothing.
    if _ABDOMEN.search(told) or (not told and _ABDOMEN.search(texts)):
        return 2.0
    if _CHEST.search(told):
        return -2.0  # a chest CT often shows the upper poles
    return -6.0 if _ELSEWHERE.search(told) else 0.0


def _kernel(instance: Instance) -> float:
    for word in instance.words("ConvolutionKernel"):
        number = _SIEMENS.match(word)
        if _SHARP_NAME.search(word) or (number and int(number[1]) >= 55 and word[:2] != "FC"):
            return -2.0
        if _SOFT_NAME.search(word) or (number and int(number[1]) < 50):
            return 1.0
    return 0.0


def _contrast(instance: Instance) -> float:
    contrast = contrast_of(instance)
    return 0.0 if contrast is None else _CONTRAST[contrast]

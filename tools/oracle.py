"""Nephrometry of the KiTS label maps by seg-to-nephrometry, for ``python -m tools nephrometry``.

    PYTHONPATH=seg-to-nephrometry python tools/oracle.py DATA THEIRS.csv

Runs alone, in an environment with what github.com/neheller/seg-to-nephrometry requires, without
RenalSeg. DATA has ``labels/kits``. The largest tumor of each case but case 0, a test, is measured,
the smallest label maps first. THEIRS.csv gets its line at once, so a second call resumes.

The program also reads the CT. There is none, so it is given fat wherever nothing is labeled.
Further tumors and cysts are given to it as kidney. To be quicker it gets only what is around the
kidney with the tumor, and searches the nearest points all at once; its answers are the same.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from seg_to_nephrometry import compute_scores_nib, utils
from seg_to_nephrometry.scores.padua import get_sinus_line_indicies
from seg_to_nephrometry.scores.renal import get_polar_line_indicies

_RENAL = {letter: f"renal_{letter.lower()}" for letter in "RENL"}
_NAMES = ("between", "rim", "sinus", "collecting", "exophytic", "size")
_PADUA = {letter: f"padua_{name}" for letter, name in zip("abcdef", _NAMES, strict=True)}
_SCORES = ("renal", "padua", "c_index", "longest_axial_mm")
COLUMNS = ("study", *_SCORES, *_RENAL.values(), *_PADUA.values())
_TISSUE_HU, _FAT_HU = 40.0, -100.0
_MARGIN = 20  # voxels around the kidney in a slice; the program looks 7 far
_TOUCHING = np.ones((3, 3, 3))


class Nearest:
    """Its search for the nearest points, without a call for each."""

    def __init__(self, points: Any) -> None:
        self.tree = cKDTree(points)

    def search(self, points: Any) -> tuple[Any, Any]:
        """The indices of the nearest points, and their distances."""
        distances, found = self.tree.query(points)
        return found, distances


def tumor_and_kidney(labels: Any) -> Any:
    """The largest tumor, 2, in its kidney, 1.

    Args:
        labels: (slices, rows, columns), of KiTS23.

    Returns:
        The part around them. Its middle column is that of `labels`, by which the program tells
        medial from lateral.
    """
    labels = labels[_around(labels > 0)]
    tumors, _ = ndimage.label(labels == 2, _TOUCHING)
    tumor = tumors == 1 + np.argmax(np.bincount(tumors.ravel())[1:])
    pieces, _ = ndimage.label(labels > 0, _TOUCHING)
    kidney = pieces == pieces[tumor][0]
    return np.where(tumor, 2, kidney).astype(np.uint8)[_around(kidney)]


def _around(mask: Any) -> tuple[slice, ...]:
    slices, rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    half = mask.shape[2] // 2
    beside = min(max(half - columns.start, columns.stop - half) + _MARGIN, half)
    return (
        slice(max(slices.start - 1, 0), slices.stop + 1),
        slice(max(rows.start - _MARGIN, 0), rows.stop + _MARGIN),
        slice(half - beside, half + beside),
    )


def _opened(path: Path) -> Any:
    return nib.load(path)


def measure(path: Path) -> dict[str, Any]:
    """The line of a label map, without what the program says where it finds no lines or sinus."""
    image = _opened(path)
    seg = tumor_and_kidney(np.asarray(image.dataobj))  # stored along I, P, L, as it wants them
    hu = np.where(seg > 0, _TISSUE_HU, _FAT_HU)
    regions = utils.get_affected_kidney_subregions(seg, hu)
    volumes = (nib.Nifti1Image(voxels, image.affine) for voxels in (hu, seg))
    found = compute_scores_nib(*volumes, subregions=regions)
    line = {column: found["renal"][letter] for letter, column in _RENAL.items()}
    line |= {column: found["padua"][letter] for letter, column in _PADUA.items()}
    if -1 in get_polar_line_indicies(regions):
        del line["renal_l"]
    if -1 in get_sinus_line_indicies(regions):
        del line["padua_between"]
    if math.isinf(found["padua"]["c_cont"]):
        del line["renal_n"], line["padua_sinus"], line["padua_collecting"]
    for name, columns in (("renal", _RENAL), ("padua", _PADUA)):
        if line.keys() >= set(columns.values()):
            line[name] = found[name]["composite"]
    line["c_index"] = found["cindex"]["composite"]
    return line | {"longest_axial_mm": found["renal"]["R_cont"]}


def main(data: Path, theirs: Path) -> None:
    """Adds a line for each case to THEIRS.csv."""
    utils.NNS, utils.tqdm = Nearest, list
    maps = sorted(
        (data / "labels" / "kits").glob("case_*.nii.gz"),
        key=lambda path: (math.prod(_opened(path).shape), path),
    )
    if not theirs.is_file():
        theirs.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    with theirs.open("r+", newline="", encoding="utf-8") as file:
        done = {line["study"] for line in csv.DictReader(file)} | {"case_00000"}
        table = csv.DictWriter(file, COLUMNS)
        for path in maps:
            case = path.name.removesuffix(".nii.gz")
            if case not in done:
                table.writerow({"study": case, **measure(path)})
                file.flush()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

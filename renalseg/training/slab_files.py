"""Makes slabs from label maps and real slices for the training of `tumor_unet`.

    python -m renalseg.training.slab_files DATA build/slabs [--kidneys ccrcc_kidneys.yaml]

DATA holds what docs/how-to/train.md lists; missing sources are skipped.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from monai.data import MetaTensor
from scipy import ndimage

from renalseg.cases import load_case, load_nifti
from renalseg.components import bounding_box, grow_box
from renalseg.grids import Grid, resample
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.runtime.process import prepare

Array = npt.NDArray[Any]
Item = tuple[str, dict[str, Any]]  # name of the file, what it holds

SPACING = (1.25, 1.25, 3.0)  # of label maps: the grid of the network
CLIPPED, SOFT_TISSUE = (0.0, 255.0), (-160.0, 240.0)  # windows of archives, HU
_CURVAS_MM, _CCRCC_MM = 0.75, 0.78  # pixels, which the sources do not state
_SLICE_MM = 0.85  # of other slices that do not state it
_FAT, _TISSUE = 70.0, 105.0  # gray values of the soft-tissue window
_BTCV_KIDNEYS = (2, 3)  # values of its labels
_FLUID_HU, _CYST_ML, _ROUND = (-15.0, 45.0), 0.4, 0.45  # cysts, which BTCV labels as kidney
_MARGIN_MM = 3.0  # around a cyst, in which it may grow
_ENHANCED_HU = 75.0  # below that, fluid and kidney look alike
_SHARE = 0.8  # share of the gray value of cortex that liver, bowel and muscle do not reach


def slabs_of(data: Path, kidneys: Mapping[str, Any], found: Path | None = None) -> Iterator[Item]:
    """The slabs of all available sources.

    Args:
        data: Their folder.
        kidneys: Ellipses around the kidneys of each lesion of `slices_ccrcc`.
        found: Folder with masks that a localizer gives of whole CTs, such as `btcv_0005.nii.gz`.
    """
    for path in sorted((data / "labels" / "kits").glob("case_*.nii.gz")):
        number = int(path.name[5:10])
        yield f"kits_{number:05d}", {"patient": f"kits {number}", **_label_map(path)}
    yield from _kits_slices(data / "slices")
    yield from _curvas_slices(data / "slices_curvas")
    yield from _ccrcc_slices(data / "slices_ccrcc", kidneys)
    yield from _labeled_slices(data / "slices_labeled")
    yield from _volumes(data / "ct", found)
    yield from _btcv(data / "btcv", found)


def _label_map(path: Path) -> dict[str, Any]:
    """Crops a label map to its labels, on the grid of the network."""
    volume = load_nifti(path, torch.uint8)
    grid = Grid.of(volume)
    box = bounding_box(volume[0].numpy())
    assert box is not None  # KiTS has no case without kidney
    box = grow_box(box, 10 / grid.spacing, grid.shape)
    source = grid.crop(box)
    part = volume.as_tensor()[(slice(None), *box)]
    return {
        "label": resample(part, source, source.respaced(SPACING), "nearest")[0],
        "spacing": SPACING,
    }


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _turned(picture: Array) -> Array:
    """A picture (rows to posterior, columns to the left) as (X, Y, 1) along R and A."""
    return np.ascontiguousarray(picture.T[::-1, ::-1, None])


def _kits_slices(folder: Path) -> Iterator[Item]:
    for row in _rows(folder / "index.csv"):
        name = f"case_{int(row['case']):05d}_slice_{int(row['slice']):04d}"
        with np.load(folder / f"{name}.npz") as stored:
            image, label = (_turned(stored[key]) for key in ("image_hu0_255", "label_kits23"))
        mm = float(row["spacing_x"])
        facts = {"patient": f"kits {int(row['case'])}", "spacing": (mm, mm, SPACING[2])}
        yield f"slice_{name}", {**facts, "image": image, "label": label, "window": CLIPPED}


def _curvas_slices(folder: Path) -> Iterator[Item]:
    for row in _rows(folder / "index.csv"):
        with np.load(folder / row["file"]) as stored:
            image = _turned(stored["image_hu0_255"])
            label = _turned((stored["kidney"] > 0).astype(np.uint8) * KIDNEY)
        patient = f"curvas {row['stem'].split('_')[0]}"
        facts = {"patient": patient, "spacing": (_CURVAS_MM, _CURVAS_MM, SPACING[2])}
        name = f"curvas_{Path(row['file']).stem}"
        yield name, {**facts, "image": image, "label": label, "window": CLIPPED}


def _ccrcc_slices(folder: Path, kidneys: Mapping[str, Any]) -> Iterator[Item]:
    for row in _rows(folder / "index.csv"):
        if (
            row["lesion"] not in kidneys
            or [row["lesion"], int(row["slice"])] in kidneys["left_out"]
        ):
            continue
        with np.load(folder / row["file"]) as stored:
            gray, tumor = stored["image_8bit"].astype(np.float32), stored["tumor"] > 0
        label = outline_kidneys(gray, kidneys[row["lesion"]]).astype(np.uint8) * KIDNEY
        label[tumor] = TUMOR
        low, high = SOFT_TISSUE
        hu = np.round(low + gray * (high - low) / 255).astype(np.int16)
        facts = {"patient": f"ccrcc {row['patient_group']}", "window": SOFT_TISSUE}
        facts["spacing"] = (_CCRCC_MM, _CCRCC_MM, SPACING[2])
        name = f"ccrcc_{Path(row['file']).stem}"
        yield name, {**facts, "image": _turned(hu), "label": _turned(label)}


def _labeled_slices(folder: Path) -> Iterator[Item]:
    """Slices that say of themselves what they are, see docs/how-to/train.md."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            image, label = (_turned(stored[key]) for key in ("image", "label"))
            facts = {"patient": str(stored["patient"]), "window": tuple(stored["window"])}
            mm = [float(side) if side > 0 else _SLICE_MM for side in stored["spacing"]]
        name = f"labeled_{path.stem}"
        yield name, {**facts, "image": image, "label": label, "spacing": (*mm[::-1], SPACING[2])}


def outline_kidneys(gray: Array, ellipses: Sequence[Sequence[float]]) -> Array:
    """Outlines the kidneys of a slice without a kidney mask.

    Args:
        gray: (rows, columns) in the soft-tissue window, 0 to 255.
        ellipses: Drawn by hand around each kidney: column and row of the center, two half axes in
            pixels, and the angle of the first, in degrees clockwise from the columns.

    Returns:
        (rows, columns) bool: within each ellipse, the largest connected part nearly as bright as
        its cortex, with what it encloses.
    """
    smooth = ndimage.gaussian_filter(gray, 1.2)
    found = np.zeros(gray.shape, bool)
    rows, columns = np.mgrid[: gray.shape[0], : gray.shape[1]]
    for column, row, long, short, degrees in ellipses:
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        across, down = columns - column, rows - row
        along, beside = across * cos + down * sin, down * cos - across * sin
        near = (along / (long + 3)) ** 2 + (beside / (short + 3)) ** 2 < 1
        bright = float(np.percentile(smooth[near & (smooth > _TISSUE)], 75))
        enhanced = near & (smooth > max(_TISSUE, _SHARE * bright))
        whole = ndimage.binary_closing(_largest(enhanced, 2), iterations=3)
        found |= _largest(ndimage.binary_fill_holes(whole), 3) & (smooth > _FAT)
    return found


def _largest(mask: Array, iterations: int) -> Array:
    """The largest connected part of an opened mask; the mask itself if opening leaves nothing."""
    opened = ndimage.binary_opening(mask, iterations=iterations)
    numbered, count = ndimage.label(opened)
    if not count:
        return mask
    return np.asarray(numbered == 1 + np.bincount(numbered.ravel())[1:].argmax())


def _volumes(folder: Path, found: Path | None) -> Iterator[Item]:
    """The CTs with kidney masks for training."""
    for patient, image, mask, kidneys in (
        ("ircadb 1", "ircadb01.nii.gz", "ircadb01_kidney.nii.gz", (1,)),
        ("ircadb 17", "ircadb17/dicom", "ircadb17/kidney_silver.nii.gz", (1,)),
        ("totalseg 1", "totalseg/example_ct_sm.nii.gz", "totalseg/example_seg.nii.gz", (2, 3)),
    ):
        if (folder / image).exists() and (folder / mask).is_file():
            hu, label = load_case(folder / image), load_nifti(folder / mask, torch.uint8)
            name = patient.replace(" ", "_")
            yield name, {"patient": patient, **_volume(hu, label, kidneys, found, name)}


def _btcv(folder: Path, found: Path | None) -> Iterator[Item]:
    """The CTs of BTCV, as its archive has them; cysts become a class of their own."""
    for path in sorted((folder / "img").glob("img*.nii.gz")):
        number = path.name[3:7]
        label = load_nifti(folder / "label" / f"label{number}.nii.gz", torch.uint8)
        slab = _volume(load_case(path), label, _BTCV_KIDNEYS, found, f"btcv_{number}")
        slab["label"] = _with_cysts(slab["image"].numpy(), slab["label"].numpy(), slab["spacing"])
        yield f"btcv_{number}", {"patient": f"btcv {int(number)}", **slab}


def _with_cysts(hu: Array, label: Array, spacing: Sequence[float]) -> Array:
    """A label whose round parts as thin as water are cysts, where the kidneys enhance.

    Args:
        hu: (X, Y, Z).
        label: Likewise, uint8, 1 in kidneys.
        spacing: mm along x, y, z.
    """
    kidney = label > 0
    if np.median(hu[kidney]) < _ENHANCED_HU:
        return label
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), [2 / mm for mm in spacing])
    fluid = (smooth > _FLUID_HU[0]) & (smooth < _FLUID_HU[1]) & ndimage.binary_erosion(kidney)
    half = (20 + np.median(hu[kidney])) / 2  # where fluid ends and parenchyma begins
    numbered, _ = ndimage.label(fluid)
    label = label.copy()
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        box = grow_box(box, _MARGIN_MM / np.array(spacing), label.shape)
        part = numbered[box] == number
        mm3 = float(part.sum() * np.prod(spacing))
        if mm3 < 1000 * _CYST_ML:
            continue
        inscribed = ndimage.distance_transform_edt(part, sampling=spacing).max()
        if inscribed > _ROUND * (0.75 * mm3 / np.pi) ** (1 / 3):
            grown = ndimage.binary_dilation(part, iterations=max(1, round(1.5 / spacing[0])))
            label[box][grown & kidney[box] & (smooth[box] < half)] = CYST
    return label


def _volume(
    hu: MetaTensor, label: MetaTensor, kidneys: Sequence[int], found: Path | None, name: str
) -> dict[str, Any]:
    target = Grid.of(hu).turned()
    image = resample(hu.as_tensor(), Grid.of(hu), target, "nearest")[0]
    mask = torch.isin(label.as_tensor(), torch.tensor(kidneys, dtype=label.dtype))
    slab = {
        "image": image.short(),
        "label": resample(mask.to(torch.uint8), Grid.of(label), target, "nearest")[0] * KIDNEY,
        "spacing": target.spacing,
    }
    if found is not None and (path := found / f"{name}.nii.gz").is_file():
        given = load_nifti(path, torch.uint8)
        kidney = given.as_tensor().gt(0).to(torch.uint8)
        slab["found"] = resample(kidney, Grid.of(given), target, "nearest")[0]
    return slab


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description="Make the slabs that tumor_unet trains on.")
    parser.add_argument("data", type=Path, help="folder with labels/kits, slices and so on")
    parser.add_argument("out", type=Path, help="gets the slabs")
    parser.add_argument("--kidneys", type=Path, help="YAML with the ellipses of slices_ccrcc")
    parser.add_argument("--found", type=Path, help="folder with a localizer's masks of whole CTs")
    options = parser.parse_args(argv)
    prepare()
    kidneys = yaml.safe_load(options.kidneys.read_text()) if options.kidneys else {}
    options.out.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, content in slabs_of(options.data, kidneys, options.found):
        np.savez_compressed(options.out / f"{name}.npz", **content)
        count += 1
    sys.stdout.write(f"{count} slabs in {options.out}\n")


if __name__ == "__main__":
    main()

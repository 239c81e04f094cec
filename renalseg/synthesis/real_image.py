"""Files of a real CT with implanted lesions, as ``renalseg implant`` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from monai.data import MetaTensor
from torch import Generator

from renalseg.cases import load_case, load_nifti, save_nifti
from renalseg.errors import InputError
from renalseg.evaluation.overlap import check_grids
from renalseg.grids import Grid
from renalseg.synthesis.lesions import Lesion, implant_lesions, load_lesions


def write_implanted(
    image: Path,
    kidney: Path,
    out_dir: Path,
    shapes: Sequence[Path],
    count: int = 3,
    seed: int = 0,
) -> int:
    """Writes ``image.nii.gz`` and ``label.nii.gz`` of a CT with implanted lesions.

    Args:
        image: NIfTI file or folder with a DICOM series.
        kidney: NIfTI on the same grid: 1 kidney, 2 tumor.
        out_dir: Made if it is not there.
        shapes: KiTS label maps, or folders of them, to draw lesions from.
        count: Lesions to implant.
        seed: Of all randomness.

    Returns:
        How many fit.

    Raises:
        InputError: Grids differ, there is no kidney, or the shapes hold no lesion.
    """
    volume, label = load_case(image), load_nifti(kidney, torch.uint8)
    check_grids(volume, label, "image and kidney label")
    spacing = Grid.of(volume).spacing.tolist()
    generator = Generator().manual_seed(seed)
    hu, values, fitted = volume.as_tensor()[0], label.as_tensor()[0], 0
    for lesion in _draw_lesions(shapes, count, generator):
        after, values = implant_lesions(hu, values, spacing, [lesion], generator)
        fitted += not torch.equal(after, hu)
        hu = after
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, result in (("image", hu.round()), ("label", values)):
        save_nifti(MetaTensor(result[None], affine=volume.affine), out_dir / f"{name}.nii.gz")
    return fitted


def _draw_lesions(shapes: Sequence[Path], count: int, generator: Generator) -> Iterator[Lesion]:
    """Draws lesions, each from another label map as long as there are unused ones."""
    files = [
        file
        for path in shapes
        for file in (sorted(path.rglob("*.nii.gz")) if path.is_dir() else [path])
    ]
    drawn = 0
    for i in torch.randperm(len(files), generator=generator).tolist():
        lesions = list(load_lesions(files[i]))
        if lesions and drawn < count:
            drawn += 1
            yield lesions[int(torch.randint(len(lesions), (), generator=generator))]
        if drawn == count:
            return
    if not drawn:
        raise InputError(f"Expected KiTS label maps with tumors or cysts, found none in {shapes}")

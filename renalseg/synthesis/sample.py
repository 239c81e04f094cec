"""The embedded sample: a synthetic contrast CT with its true label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Generator, Tensor

from renalseg.cases import save_nifti
from renalseg.dicom.write.ct import write_ct_series
from renalseg.synthesis.appearance import Phase, Scanner, draw_ct
from renalseg.synthesis.phantom import draw_phantom
from renalseg.synthesis.tissues import label_of

SIZE = 512
SLICES = 100
SPACING = (0.78, 0.78, 2.5)  # mm
_MOST_DRAWN = 200  # slices
_FIRST = 700_004  # the training library draws its phantoms from other seeds


def draw_sample(
    seed: int = 0,
    shape: Sequence[int] = (SIZE, SIZE, SLICES),
    spacing: Sequence[float] = SPACING,
    varied: bool = False,
) -> tuple[MetaTensor, MetaTensor]:
    """A CT of a phantom and its truth.

    Args:
        seed: Each seed gives another patient; the same seed gives the same voxels.
        shape: (X, Y, Z), with the kidneys in the middle.
        spacing: mm along x, y, z.
        varied: Draw contrast phase, blur and noise by the seed as well; portal-venous by default.

    Returns:
        The CT, whole HU (1, X, Y, Z) float32, and its label map, uint8, on the same grid. As a
        scanner stores them: columns run to the patient's left, rows to posterior, slices up.
    """
    generator = Generator().manual_seed(_FIRST + seed)
    anatomy = draw_phantom(generator, shape, spacing)
    ct = (
        draw_ct(anatomy, generator)
        if varied
        else draw_ct(anatomy, generator, Phase.PORTAL, Scanner())
    )
    return as_scanned(ct, label_of(anatomy.tissue), spacing)


def as_scanned(
    ct: Tensor, label: Tensor, spacing: Sequence[float]
) -> tuple[MetaTensor, MetaTensor]:
    """Orients volumes as a scanner stores them.

    Columns run to the patient's left, rows to posterior.

    Args:
        ct: (X, Y, Z) float32 HU, axes R, A, S.
        label: (X, Y, Z) uint8 on the same grid.
        spacing: mm along x, y, z.

    Returns:
        The CT in whole HU and its label map, (1, X, Y, Z), centered on the world's z axis.
    """
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:2, 3] = [(n - 1) / 2 * mm for n, mm in zip(ct.shape[:2], spacing[:2], strict=True)]
    image, truth = (volume.flip(0, 1)[None] for volume in (ct.round(), label))
    world = torch.from_numpy(affine)
    return MetaTensor(image, affine=world), MetaTensor(truth, affine=world)


def write_sample(
    out_dir: Path,
    seed: int = 0,
    slices: int = SLICES,
    size: int = SIZE,
    varied: bool = False,
) -> None:
    """Writes ``dicom/*.dcm``, a CT of a phantom, and ``label.nii.gz``, its truth.

    Args:
        out_dir: Made if it is not there.
        seed: Each seed gives another patient; the same seed gives the same files.
        slices: Number of slices, 2.5 mm apart, with the kidneys in the middle. Beyond 200, the end
            slices, 25 cm from the middle, are repeated: drawing takes 30 MB per slice.
        size: Rows and columns; the field of view is always 400 mm.
        varied: As in `draw_sample`.
    """
    spacing = (SPACING[0] * SIZE / size, SPACING[1] * SIZE / size, SPACING[2])
    drawn = min(slices, _MOST_DRAWN)
    image, label = draw_sample(seed, (size, size, drawn), spacing, varied)
    below = (slices - drawn) // 2
    ends = ((0, 0), (0, 0), (below, slices - drawn - below))
    affine = np.asarray(image.affine).copy()
    affine[2, 3] -= below * spacing[2]
    hu, truth = (
        np.pad(volume.as_tensor()[0].to(dtype).numpy(), ends, mode="edge")
        for volume, dtype in ((image, torch.int16), (label, torch.uint8))
    )
    write_ct_series(out_dir / "dicom", hu, affine, seed=f"sample {seed}")
    whole = MetaTensor(torch.from_numpy(truth)[None], affine=torch.from_numpy(affine))
    save_nifti(whole, out_dir / "label.nii.gz")

"""The embedded sample: a synthetic contrast CT with its true label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Generator

from renalseg.cases import save_nifti
from renalseg.dicom.ct import write_ct_series
from renalseg.synthesis.appearance import Phase, Scanner, draw_ct
from renalseg.synthesis.phantom import draw_phantom
from renalseg.synthesis.tissues import label_of

SIZE = 512
SLICES = 100
SPACING = (0.78, 0.78, 2.5)  # mm
_FIRST = 700_004  # the training library draws its phantoms from other seeds


def write_sample(out_dir: Path, seed: int = 0, slices: int = SLICES, size: int = SIZE) -> None:
    """Writes ``dicom/*.dcm``, a portal-venous CT of a phantom, and ``label.nii.gz``, its truth.

    Args:
        out_dir: Made if it is not there.
        seed: Another seed is another patient; the same seed gives the same files.
        slices: Number of slices, 2.5 mm apart, with the kidneys in the middle.
        size: Rows and columns; fewer are larger, the field of view stays 400 mm.
    """
    generator = Generator().manual_seed(_FIRST + seed)
    spacing = (SPACING[0] * SIZE / size, SPACING[1] * SIZE / size, SPACING[2])
    anatomy = draw_phantom(generator, (size, size, slices), spacing)
    ct = draw_ct(anatomy, generator, Phase.PORTAL, Scanner())
    # R, A, S as drawn; stored as a scanner does: columns run to L, rows to P, slices to S
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:2, 3] = [(size - 1) / 2 * mm for mm in spacing[:2]]
    hu = ct.flip(0, 1).round().to(torch.int16).numpy()
    write_ct_series(out_dir / "dicom", hu, affine, seed=f"sample {seed}")
    label = label_of(anatomy.tissue).flip(0, 1)
    save_nifti(MetaTensor(label[None], affine=torch.from_numpy(affine)), out_dir / "label.nii.gz")

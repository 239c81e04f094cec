"""Synthetic CTs of anatomies that training never saw: kidneys of held-out KiTS cases."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import torch
from torch import Generator

from renalseg.synthesis.appearance import draw_ct
from renalseg.synthesis.deformation import deform
from renalseg.synthesis.library import KITS, TORSO, held_out_cases
from renalseg.synthesis.sample import as_scanned
from renalseg.synthesis.scanner import draw_phase
from renalseg.synthesis.template import Torso, load_torso
from renalseg.synthesis.tissues import Anatomy, Tissue, bounding_box, label_of, with_depth
from renalseg.synthesis.torso import implant
from tools.accuracy.suites.chain import chain_row, measure_chain, summarize_chain
from tools.accuracy.suites.suite import Labeled, Suite, require

SPACING = (0.8, 0.8, 2.5)  # mm
_FIELD = (480, 400)  # voxels of a slice; beyond are only arms and table
_AROUND_MM = 50.0  # above and below the kidneys
_STRETCH = 1.25  # `deform` makes them longer by at most this factor
_FIRST = 800_000  # training draws from other seeds
_FIRST_FREE = 1000  # number of the first case without tumors; those with tumors begin at 0
_LEAST_TUMOR_ML = 0.5


def synthetic(data_dir: Path, count: int) -> Suite:
    """CTs with tumors, and half as many in which every tumor is replaced by a cyst.

    Args:
        data_dir: Folder with the label maps of KiTS and of a whole body.
        count: How many with tumors.

    Raises:
        InputError: The label maps are not there.
    """
    require(data_dir / KITS, data_dir / TORSO)
    cases = {f"tumor {i:02d}": partial(draw_case, data_dir, i) for i in range(count)}
    free = {
        f"tumor-free {i:02d}": partial(draw_case, data_dir, _FIRST_FREE + i, tumors=False)
        for i in range(count // 2)
    }
    return Suite("synthetic", cases | free, measure_chain, chain_row, summarize_chain)


def draw_case(data_dir: Path, number: int, tumors: bool = True) -> Labeled:
    """Draws a CT of a torso with kidneys of held-out KiTS cases.

    Args:
        data_dir: Folder with the label maps.
        number: Each number gives another patient, contrast phase and scanner.
        tumors: Whether the tumors stay; otherwise they become cysts.
    """
    generator = Generator().manual_seed(_FIRST + number)
    anatomy = _with_tumor(data_dir, generator)
    if not tumors:
        tissue = anatomy.tissue.clone()
        tissue[tissue == Tissue.TUMOR] = int(Tissue.CYST)
        anatomy = with_depth(tissue, anatomy.spacing)
    center, slices = _around_kidneys(anatomy)
    piece = deform(anatomy, center, (*_FIELD, slices), SPACING, generator)
    phase = draw_phase(generator)
    image, label = as_scanned(draw_ct(piece, generator, phase), label_of(piece.tissue), SPACING)
    return Labeled(image, label, {"phase": phase.name.lower()})


def _with_tumor(data_dir: Path, generator: Generator) -> Anatomy:
    while True:
        anatomy = implant(_torso(data_dir / TORSO), held_out_cases(data_dir), generator)
        x, y, z = anatomy.spacing
        if int((anatomy.tissue == Tissue.TUMOR).sum()) * x * y * z / 1000 >= _LEAST_TUMOR_ML:
            return anatomy


def _around_kidneys(anatomy: Anatomy) -> tuple[torch.Tensor, int]:
    """The center of the body at the height of the kidneys, in voxels, and the number of slices."""
    body = bounding_box((anatomy.tissue != Tissue.AIR) & (anatomy.tissue != Tissue.TABLE))
    kidneys = bounding_box(label_of(anatomy.tissue) > 0)
    if body is None or kidneys is None:
        raise ValueError("expected an anatomy with kidneys")
    parts = (body[0], body[1], kidneys[2])
    center = torch.tensor([(part.start + part.stop - 1) / 2 for part in parts])
    length = (kidneys[2].stop - kidneys[2].start) * anatomy.spacing[2]
    return center, round((length * _STRETCH + 2 * _AROUND_MM) / SPACING[2])


@cache
def _torso(path: Path) -> Torso:
    return load_torso(path)

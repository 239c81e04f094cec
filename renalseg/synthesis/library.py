"""A library of anatomies on disk, built once for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from renalseg.data.case_lists import VALIDATION_NUMBERS, Fold
from renalseg.errors import InputError
from renalseg.runtime.staging import complete_file
from renalseg.synthesis.phantom import draw_phantom
from renalseg.synthesis.tissues import Anatomy

TORSO = "labels/whole_body/totalsegmentator_s0011.nii.gz"
KITS = "labels/kits"


def make_library(
    out_dir: Path,
    phantoms: int,
    implanted: int,
    data_dir: Path | None,
    seed: int = 0,
    fold: Fold | None = None,
) -> Iterator[Path]:
    """Makes anatomies, one compressed file each, and yields each path when it is written.

    Args:
        out_dir: Where the files go; those that exist are kept.
        phantoms: How many procedural abdomens.
        implanted: How many real torsos with real kidneys; they need `data_dir`.
        data_dir: Folder with `labels/whole_body` and `labels/kits`.
        seed: The same seed makes the same library.
        fold: Whose kidneys are left out, so that the library fits a training of that fold.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    for i in range(phantoms):
        path = out_dir / f"phantom_{i:04d}.npz"
        if not path.exists():
            save_anatomy(path, draw_phantom(Generator().manual_seed(10_000 + seed + i)))
        yield path
    if not implanted:
        return
    if data_dir is None:
        raise InputError("Implanted anatomies need a data folder with labels, none was given")
    from renalseg.synthesis.template import load_torso
    from renalseg.synthesis.torso import implant

    torso, cases = load_torso(data_dir / TORSO), training_cases(data_dir, fold)
    for i in range(implanted):
        path = out_dir / f"implanted_{i:04d}.npz"
        if not path.exists():
            save_anatomy(path, implant(torso, cases, Generator().manual_seed(20_000 + seed + i)))
        yield path


def training_cases(data_dir: Path, fold: Fold | None = None) -> list[Path]:
    """KiTS label maps for training.

    Args:
        data_dir: Folder with `labels/kits`.
        fold: Leaves out the cases that validate it, and its test. None leaves out those whose real
            slices or labels measure accuracy.
    """
    cases = _kits_cases(data_dir)
    if fold is not None:
        left_out = fold.validation | fold.never
        return [path for path, _ in cases if path.name.removesuffix(".nii.gz") not in left_out]
    return [path for path, held_out in cases if not held_out]


def held_out_cases(data_dir: Path) -> list[Path]:
    """KiTS label maps that never train, because accuracy is measured with them."""
    return [path for path, held_out in _kits_cases(data_dir) if held_out]


def _kits_cases(data_dir: Path) -> list[tuple[Path, bool]]:
    """The KiTS label maps, and whether each is held out."""
    held_out = {int(p.name[5:10]) for p in (data_dir / "slices").glob("case_*.npz")}
    held_out |= set(VALIDATION_NUMBERS)
    paths = sorted((data_dir / KITS).glob("case_*.nii.gz"))
    if not paths:
        raise InputError(f"Expected KiTS labels case_*.nii.gz in {data_dir / KITS}, found none")
    return [(path, int(path.name[5:10]) in held_out) for path in paths]


def save_anatomy(path: Path, anatomy: Anatomy) -> None:
    """Writes an anatomy atomically."""
    with complete_file(path) as file:
        np.savez_compressed(
            file,
            tissue=anatomy.tissue.numpy(),
            depth=anatomy.depth.numpy(),
            spacing=np.array(anatomy.spacing),
        )


def anatomy_files(folder: Path | str) -> list[Path]:
    """The files of a library, in the order of their names."""
    return sorted(Path(folder).glob("*.npz"))


def load_anatomy(path: Path) -> Anatomy:
    """Reads an anatomy into memory (about 20 MB)."""
    with np.load(path) as stored:
        x, y, z = (float(mm) for mm in stored["spacing"])
        # contiguous, because patches look voxels up by flat index
        tissue, depth = (np.ascontiguousarray(stored[name]) for name in ("tissue", "depth"))
    return Anatomy(torch.from_numpy(tissue), torch.from_numpy(depth), (x, y, z))


def load_library(folder: Path | str) -> Sequence[Anatomy]:
    """Reads all anatomies of a library into memory."""
    paths = anatomy_files(folder)
    if not paths:
        raise InputError(f"Expected anatomies (*.npz) in {folder}, found none")
    return [load_anatomy(path) for path in paths]

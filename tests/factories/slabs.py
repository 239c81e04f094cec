"""Slabs of kidneys: label maps and slices that are small and quick to draw from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.synthesis.slabs import Slab

SPACING = (1.25, 1.25, 3.0)
SIZE = (96, 64)  # pixels of a stack that holds both kidneys
FOLDS = "folds:\n- [drawn 1, real 1]\n- [drawn 0, real 0]\nnever: [drawn 9]\n"


def disc(center: tuple[int, int], radius: float) -> torch.Tensor:
    """A disc (96, 64) bool."""
    x, y = (torch.arange(n) - c for n, c in zip(SIZE, center, strict=True))
    return (x[:, None] ** 2 + y[None] ** 2).sqrt() < radius


def kidneys(slices: int = 12, *, lesions: bool = True) -> torch.Tensor:
    """Two kidneys (96, 64, slices), a tumor in the first and a cyst in the second."""
    label = torch.zeros(*SIZE, slices, dtype=torch.uint8)
    for x in (25, 70):
        label[disc((x, 32), 15)] = KIDNEY
    if lesions:
        label[..., slices // 4 : 3 * slices // 4 + 1][disc((15, 32), 7)] = TUMOR
        label[..., slices // 4 : 3 * slices // 4 + 1][disc((80, 32), 6)] = CYST
    return label


def drawn(patient: str = "drawn 0") -> Slab:
    """A label map alone."""
    return Slab(patient, kidneys(), SPACING)


def real(patient: str = "real 0", *, lesions: bool = False) -> Slab:
    """A slice with an image: kidneys of 150 HU, tumors of 90, cysts of 10, fat around them."""
    label = kidneys(1, lesions=lesions)
    noise = torch.randn(label.shape, generator=torch.Generator().manual_seed(0))
    image = torch.tensor([-100.0, 150.0, 90.0, 10.0])[label.long()] + 5 * noise
    return Slab(patient, label, SPACING, image.short())


def save(slab: Slab, path: Path) -> None:
    """Writes a slab as `load_slabs` reads it."""
    content = {"patient": slab.patient, "label": slab.label.numpy(), "spacing": slab.spacing}
    if slab.image is not None:
        content["image"] = slab.image.numpy()
    np.savez(path, **content)


def save_all(folder: Path) -> Path:
    """A folder with two patients of each kind, and folds.yaml beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        save(drawn(f"drawn {number}"), folder / f"drawn_{number}.npz")
        save(real(f"real {number}"), folder / f"real_{number}.npz")
    (folder / "folds.yaml").write_text(FOLDS)
    return folder

"""Compares synthetic and real CTs: a table of intensities and a picture, for docs/synthesis.md.

    python -m tools.compare_synthesis DATA LIBRARY docs/synthesis.md docs/images/synthesis.png

DATA has real KiTS19 slices in ``slices`` (`image_hu0_255`, `label_kits23`) and a CT with organ
labels in ``ct/totalseg``; LIBRARY is what ``renalseg library`` makes.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage, stats
from torch import Generator

from renalseg.cases import load_nifti
from renalseg.errors import InputError
from renalseg.synthesis.appearance import tissue_range
from renalseg.synthesis.library import load_library
from renalseg.synthesis.patches import SyntheticPatches
from renalseg.synthesis.scanner import Phase
from renalseg.synthesis.tissues import Tissue
from tools.markdown import put_between, table

PATCHES = 120
_SIZE, _PIXEL_MM, _SLICE_MM = 288, 0.78, 3.0
_WINDOW = (0.0, 255.0)  # HU range to which the real slices are clipped
_INNER = 2  # pixels near a border are ignored
_LEAST = 100  # pixels


class Slice(NamedTuple):
    """One axial slice.

    Attributes:
        case: Name of the case.
        image: (X, Y) HU, clipped to 0 to 255.
        label: (X, Y): 1 kidney, 2 tumor.
        pixel_mm: Size of a pixel.
    """

    case: str
    image: np.ndarray
    label: np.ndarray
    pixel_mm: float


def real_slices(folder: Path) -> list[Slice]:
    """The real slices with their KiTS23 labels, cysts left out.

    Raises:
        InputError: The folder has no index.csv.
    """
    if not (folder / "index.csv").is_file():
        raise InputError(f"Expected index.csv and real slices in {folder}, found none")
    found = []
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            case, number = int(row["case"]), int(row["slice"])
            with np.load(folder / f"case_{case:05d}_slice_{number:04d}.npz") as stored:
                image, label = stored["image_hu0_255"], stored["label_kits23"]
            pixel = float(row["spacing_x"])
            found.append(Slice(str(case), image.T.astype(float), label.T * (label.T < 3), pixel))
    return found


def synthetic_slices(library: Path, count: int = PATCHES, seed: int = 0) -> Iterator[Slice]:
    """Slices with tumor from synthetic patches with contrast, clipped like the real ones."""
    patches = SyntheticPatches(
        load_library(library),
        (_SIZE, _SIZE, 6),
        (_PIXEL_MM, _PIXEL_MM, _SLICE_MM),
        near_kidney=1.0,
        near_tumor=1.0,
        reach_mm=25.0,
        phases=(0.05, 0.35, 0.5, 0.1),
    )
    generator = Generator().manual_seed(seed)
    for i in range(count):
        patch = patches.draw(generator)
        image, label = (patch[key][0].numpy() for key in ("image", "label"))
        z = int((label == 2).sum(axis=(0, 1)).argmax())
        yield Slice(f"s{i}", image[..., z].clip(*_WINDOW)[:, ::-1], label[:, ::-1, z], _PIXEL_MM)


_MEASURES: dict[str, Callable[[Slice], float]] = {
    "kidney, mean": lambda s: _inside(s, 1).mean(),
    "kidney, standard deviation": lambda s: _inside(s, 1).std(),
    "tumor, mean": lambda s: _inside(s, 2).mean(),
    "tumor, standard deviation": lambda s: _inside(s, 2).std(),
    "tumor minus kidney": lambda s: _inside(s, 2).mean() - _inside(s, 1).mean(),
    "texture in the tumor (1 to 3 mm)": lambda s: _inside(_between(s, 1.0, 3.0), 2).std(),
    "noise in the tumor (pixel to pixel)": lambda s: _inside(_fine(s), 2).std(),
}


def measure(slices: Sequence[Slice]) -> dict[str, np.ndarray]:
    """5th, 25th, 50th, 75th and 95th percentile of each measure over the cases, HU.

    Slices of one case are averaged first; slices with fewer than 100 inner pixels are ignored.
    """
    labels = {"kidney": 1, "tumor": 2}
    means = {
        name: _case_means(slices, of, [labels[word] for word in labels if word in name])
        for name, of in _MEASURES.items()
    }
    percents = [5, 25, 50, 75, 95]
    return {name: np.percentile(values, percents) for name, values in means.items() if len(values)}


def coupling(slices: Sequence[Slice]) -> float:
    """Spearman's rank correlation between the means of kidney and tumor over the slices' cases."""
    kidneys, tumors = (
        _case_means(slices, _MEASURES[name], (1, 2)) for name in ("kidney, mean", "tumor, mean")
    )
    return float(stats.spearmanr(kidneys, tumors)[0])


def _case_means(
    slices: Iterable[Slice], of: Callable[[Slice], float], labels: Sequence[int]
) -> np.ndarray:
    """The mean of a measure in each case, over slices with enough inner pixels of the labels."""
    values: dict[str, list[float]] = {}
    for one in slices:
        if all(len(_inside(one, label)) >= _LEAST for label in labels):
            values.setdefault(one.case, []).append(float(of(one)))
    return np.array([np.mean(group) for group in values.values()])


def renal_table(real: dict[str, np.ndarray], synthetic: dict[str, np.ndarray]) -> str:
    """Markdown: each measure of real and of synthetic slices."""
    rows = (
        (name, *(", ".join(f"{v:.0f}" for v in side[name]) for side in (real, synthetic)))
        for name in real
    )
    heads = ("HU", "real: 5 %, 25 %, median, 75 %, 95 %", "synthetic")
    return "\n".join(table(heads, rows, numbers=slice(1, 3)))


_ORGANS = {  # of example_seg.nii.gz
    Tissue.SPLEEN: (1,),
    Tissue.KIDNEY: (2, 3),
    Tissue.LIVER: (5,),
    Tissue.ARTERY: (52,),
    Tissue.VEIN: (63, 64),
    Tissue.MUSCLE: (86, 87, 88, 89),
    Tissue.CORTICAL_BONE: (30, 31, 32),
}


def organ_table(folder: Path) -> str:
    """Markdown: organs of the real CT without contrast, and the range that the engine draws."""
    image = load_nifti(folder / "example_ct_sm.nii.gz", torch.float32).numpy()[0]
    organs = load_nifti(folder / "example_seg.nii.gz", torch.uint8).numpy()[0]
    rows = []
    for tissue, values in _ORGANS.items():
        inner = ndimage.binary_erosion(np.isin(organs, values))
        if inner.sum() < _LEAST:
            continue
        low, middle, high = np.percentile(image[inner], [5, 50, 95])
        first, last = tissue_range(tissue, Phase.NON_CONTRAST)
        name = tissue.name.lower().replace("_", " ")
        seen, drawn = f"{middle:.0f} ({low:.0f} to {high:.0f})", f"{first:.0f} to {last:.0f}"
        rows.append((name, seen, drawn))
    heads = ("tissue", "real CT: median (5 to 95 % of the voxels), HU", "engine: mean, HU")
    return "\n".join(table(heads, rows, numbers=slice(1, 3)))


def save_picture(real: list[Slice], synthetic: list[Slice], path: Path, columns: int = 6) -> None:
    """Real slices in the upper two rows, synthetic ones in the lower two; outlines in every other.

    Args:
        real: At least twice as many as columns.
        synthetic: The same.
        path: PNG.
        columns: Pictures per row.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, rows = plt.subplots(4, columns, figsize=(2.1 * columns, 8.9), facecolor="black")
    for axis, one in zip(rows.flat, [*real[: 2 * columns], *synthetic[: 2 * columns]], strict=True):
        half = round(80 / one.pixel_mm)  # mm
        x, y = np.argwhere(one.label > 0).mean(axis=0).round().astype(int)
        image, label = (
            np.pad(values, half)[x : x + 2 * half, y : y + 2 * half].T
            for values in (one.image, one.label)
        )
        axis.imshow(image, cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1])
        axis.contour(label == 2, [0.5], colors="#ff5050", linewidths=0.6)
        axis.axis("off")
    for row, title in ((0, "real"), (2, "synthetic")):
        rows[row, 0].set_title(title, color="white", loc="left", fontsize=11)
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.965, 0.02, 0.04)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, facecolor="black")
    plt.close(figure)


def main(data: Path, library: Path, page: Path, picture: Path) -> None:
    """Measures, and writes the tables and the picture.

    Args:
        data: Folder with ``slices`` and ``ct/totalseg``.
        library: Folder with anatomies.
        page: Markdown file with the marks ``renal`` and ``organs``.
        picture: PNG.
    """
    real, synthetic = real_slices(data / "slices"), list(synthetic_slices(library))
    intensities = renal_table(measure(real), measure(synthetic))
    linked = (
        f"Means of kidney and tumor have a rank correlation of {coupling(real):.2f} in the real "
        f"slices and {coupling(synthetic):.2f} in the synthetic ones."
    )
    put_between(page, "renal", f"{intensities}\n\n{linked}")
    put_between(page, "organs", organ_table(data / "ct/totalseg"))
    cases = {one.case: one for one in real if (one.label == 2).sum() >= _LEAST}
    shown = [one for one in synthetic if (one.label == 2).sum() >= 2 * _LEAST]
    save_picture(list(cases.values()), shown, picture)


def _inside(one: Slice, value: int) -> np.ndarray:
    inner = ndimage.binary_erosion(one.label == value, iterations=_INNER)
    return np.asarray(one.image[inner])


def _between(one: Slice, low_mm: float, high_mm: float) -> Slice:
    """Parts with a size between two limits."""
    low, high = (ndimage.gaussian_filter(one.image, mm / one.pixel_mm) for mm in (low_mm, high_mm))
    return one._replace(image=low - high)


def _fine(one: Slice) -> Slice:
    return one._replace(image=one.image - ndimage.gaussian_filter(one.image, 1.0))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))

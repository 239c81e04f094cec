"""Where in a screenshot a slice of the CT is, and whether the colors on it are those of its label.

Nothing is asked of the viewer: the slice is found by its gray values, at any zoom and place.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from matplotlib.image import imread
from scipy import ndimage, signal

Plane = npt.NDArray[np.float64]
CENTER, WIDTH = 40.0, 400.0  # HU
COLORED = 30  # of 255: less is gray
_RIM = 2  # pixels beside an edge of the label, where colors are mixed


@dataclass(frozen=True)
class Found:
    """A slice in a screenshot.

    Attributes:
        scale: Pixels of the screenshot for one pixel of the slice.
        row: Of its upper left corner.
        column: Likewise.
        likeness: Pearson's correlation of the gray values.
    """

    scale: float
    row: float
    column: float
    likeness: float

    def place(self, plane: npt.NDArray, shape: tuple[int, int], order: int) -> npt.NDArray:  # type: ignore[type-arg]
        """The plane as it lies in the screenshot; 0 around it."""
        rows, columns = np.indices(shape)
        at = [
            (index - start + 0.5) / self.scale - 0.5
            for index, start in ((rows, self.row), (columns, self.column))
        ]
        return ndimage.map_coordinates(plane, at, order=order, mode="constant", cval=0)


def read_rgb(png: bytes) -> Plane:
    """A screenshot as (rows, columns, 3), 0 to 255."""
    return np.asarray(imread(io.BytesIO(png)), np.float64)[..., :3] * 255


def as_shown(hu: npt.NDArray[np.generic]) -> Plane:
    """An axial slice (X, Y) of axes L, P as a viewer shows it: rows down, 0 to 255."""
    low = CENTER - WIDTH / 2
    return np.clip((np.asarray(hu, np.float64).T - low) / WIDTH, 0, 1) * 255


def find_slice(rgb: Plane, planes: Mapping[int, Plane]) -> tuple[int, Found]:
    """Finds which plane is shown, and where.

    Args:
        rgb: (rows, columns, 3), the part of a screenshot that shows all of the plane's body.
        planes: (rows, columns) each, all of one shape.

    Returns:
        The key of the plane, and its place.
    """
    gray = rgb.mean(axis=2)
    keys = sorted(planes)
    some = keys[len(keys) // 4 :: max(1, len(keys) // 4)]
    box = _body(np.max([planes[key] for key in some], axis=0))
    bodies = {key: plane[box] for key, plane in planes.items()}
    height, width = bodies[keys[0]].shape
    fit = min(gray.shape[0] / height, gray.shape[1] / width)
    tries = [
        _at_scale(gray, bodies[key], scale)
        for scale in fit * np.linspace(0.6, 1.04, 23)
        for key in some
    ]
    best = max(tries, key=lambda found: found.likeness)
    key = max(keys, key=lambda each: _likeness(gray, bodies[each], best))
    tries = [_at_scale(gray, bodies[key], best.scale * s) for s in np.linspace(0.975, 1.025, 26)]
    best = max(tries, key=lambda found: found.likeness)
    key = max(keys, key=lambda each: _likeness(gray, bodies[each], best))
    row, column = (
        start - part.start * best.scale
        for start, part in zip((best.row, best.column), box, strict=True)
    )
    return key, Found(best.scale, row, column, _likeness(gray, bodies[key], best))


def _body(plane: Plane) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero((plane > COLORED).mean(axis=axis) > 0.02) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _at_scale(gray: Plane, plane: Plane, scale: float) -> Found:
    """The best place at a scale: first on images of half the size, then to the pixel."""
    small = ndimage.zoom(plane, scale / 2, order=1)
    field = np.pad(gray, 40)[::2, ::2]
    sums = signal.fftconvolve(field, (small - small.mean())[::-1, ::-1], mode="valid")
    ones = np.ones_like(small)
    mean = signal.fftconvolve(field, ones, mode="valid") / small.size
    square = signal.fftconvolve(field**2, ones, mode="valid") / small.size
    match = sums / np.sqrt(np.maximum(square - mean**2, 1))
    top, left = 2 * np.array(np.unravel_index(match.argmax(), match.shape)) - 40
    near = [
        Found(scale, float(top + down), float(left + right), 0.0)
        for down in range(-2, 3)
        for right in range(-2, 3)
    ]
    rated = [replace(found, likeness=_likeness(gray, plane, found, step=3)) for found in near]
    return max(rated, key=lambda found: found.likeness)


def _likeness(gray: Plane, plane: Plane, found: Found, step: int = 1) -> float:
    """Pearson's correlation of a plane with what is shown where it should be."""
    corner, source, target = (found.row, found.column), [], []
    for start, size, shown in zip(corner, plane.shape, gray.shape, strict=True):
        index = np.arange(max(0, round(start)), min(shown, round(start + size * found.scale)), step)
        at = ((index - start + 0.5) / found.scale - 0.5).round().astype(int)
        source.append(np.clip(at, 0, size - 1))
        target.append(index)
    one, other = gray[np.ix_(*target)], plane[np.ix_(*source)]
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def shares_in_color(
    rgb: Plane,
    kinds: npt.NDArray[np.uint8],
    body: npt.NDArray[np.bool_],
    colors: Mapping[int, tuple[int, int, int]],
) -> dict[int, tuple[float, float]]:
    """Compares the colors of a screenshot with a label map that lies in it.

    Args:
        rgb: (rows, columns, 3), 0 to 255.
        kinds: The label of each pixel; 0 is none.
        body: The pixels that count.
        colors: The color of each label, which may be mixed with gray.

    Returns:
        For each label the share of its inside that has its color, and the share of its color's
        pixels that lie on it or beside its edge.
    """
    chroma = rgb - rgb.mean(axis=2, keepdims=True)
    hues = np.array([np.subtract(color, np.mean(color)) for color in colors.values()])
    nearest = np.array(list(colors))[np.argmax(chroma @ _unit(hues).T, axis=2)]
    colored = (np.ptp(rgb, axis=2) > COLORED) & body
    shares = {}
    for label in colors:
        mask = (kinds == label) & body
        has = colored & (nearest == label)
        inside = ndimage.binary_erosion(mask, iterations=_RIM)
        near = ndimage.binary_dilation(mask, iterations=_RIM + 1)
        shares[label] = (float(has[inside].mean()), float(near[has].mean()) if has.any() else 0.0)
    return shares


def _unit(vectors: Plane) -> Plane:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

"""Distances between the slices of a series: even, uneven, or a gap where slices are missing."""

from __future__ import annotations

import numpy as np

from renalseg.geometry import Array

SAME_PLACE_MM = 0.01
GAP_FACTOR = 1.5  # a step this many times the usual one means a missing slice
MAX_JITTER = 0.01  # of the usual step
SILENT_JITTER = 0.001  # rounding of the positions in the file
MAX_FINER = 4  # a grid has at most so many slices for each of the source
NEAR_MM = 0.5  # from a slice to its place on a grid, about half a pixel
_AROUND = 6  # steps on either side that say what is usual at a place
_ENOUGH = 3  # of them on one side that are as wide as a step show that it is usual there


def find_gaps(steps: Array) -> list[int]:
    """Find the steps where slices are missing.

    A step is a gap if it is over `GAP_FACTOR` times the median of the steps around it, because
    what is usual may change within a series, say from 1.5 mm to 3 mm. Where at least three of the
    six steps before it, or of those behind it, are as wide, the series has changed its spacing.

    Args:
        steps: (S - 1,) distances between slices along their normal, in mm, all positive.

    Returns:
        Indices into `steps`, ascending.
    """
    gaps = []
    for index, step in enumerate(steps):
        if step <= GAP_FACTOR * usual_step(steps, index):
            continue
        before, behind = _around(steps, index)
        as_wide = max(int((GAP_FACTOR * side >= step).sum()) for side in (before, behind))
        if as_wide < _ENOUGH:
            gaps.append(index)
    return gaps


def usual_step(steps: Array, index: int) -> float:
    """Give the median of the steps (S - 1,) around one of them, in mm; its own if it is alone."""
    around = np.concatenate(_around(steps, index))
    return float(np.median(around)) if len(around) else float(steps[index])


def _around(steps: Array, index: int) -> tuple[Array, Array]:
    """The steps before and behind one of them."""
    return steps[max(0, index - _AROUND) : index], steps[index + 1 :][:_AROUND]


def jitter_of(steps: Array) -> tuple[int, float]:
    """Find the step that differs most from the median one.

    Args:
        steps: (S - 1,) distances between slices, in mm.

    Returns:
        Its index, and by how much it differs, as a share of the median step.
    """
    usual = float(np.median(steps))
    jitter = np.abs(steps - usual) / usual
    worst = int(jitter.argmax())
    return worst, float(jitter[worst])


def grid_step(heights: Array) -> float:
    """Choose the distance between the slices of a regular grid for unevenly spaced ones.

    It is the usual step of the source where a slice of the grid then lies near each slice of the
    source, as where few are out of place. Otherwise it is the smallest step or a simple fraction
    of it, the first that comes as near as `NEAR_MM`. The grid never has more than `MAX_FINER`
    slices for each of the source, which bounds memory; if none comes so near, the nearest is taken.

    Args:
        heights: (S,) of the slices along their normal, in mm, ascending from 0.

    Returns:
        The distance in mm.
    """
    steps = np.diff(heights)
    finest = float(steps.mean()) / MAX_FINER
    parts = [float(steps.min()) / part for part in range(1, MAX_FINER + 1)]
    best, least = finest, np.inf
    for step in (float(np.median(steps)), *parts, finest):
        if least <= NEAR_MM:
            break
        if step < finest:
            continue
        levels = np.rint(heights / step)
        off = float(np.abs(heights - step * levels).max())
        if np.diff(levels).min() >= 1 and off < least:
            best, least = step, off
    return best

"""How well two tables of nephrometry agree, and what clinical facts say of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from renalseg.geometry import Array
from renalseg.scores import QUANTITIES
from tools.markdown import table

Table = Mapping[str, Mapping[str, str]]
"""Rows of lesions.csv, by the names of their studies."""

FACES = {"p": -1, "x": 0, "a": 1}
C_INDEX = "C-index"
TOTALS = {"R.E.N.A.L. score": "renal", "PADUA score": "padua"}
POINTS = {
    **{f"{q.renal}, {q.short}": f"renal_{q.renal.lower()}" for q in QUANTITIES.values() if q.renal},
    **{f"PADUA, {q.padua}": f"padua_{name}" for name, q in QUANTITIES.items() if q.padua},
}
_SIZES = {"longest in a slice": "longest_axial_mm", "longest": "longest_mm"}
_LIMITS = (2.5, 97.5)  # percentiles


def numbers_of(row: Mapping[str, str]) -> dict[str, float]:
    """Gives what a row says of nephrometry as numbers: points, scores, face and C-index.

    The face is -1 behind, 0 for neither and 1 in front.
    """
    found = {name: float(row[column]) for name, column in POINTS.items() if row.get(column)}
    for name, column in TOTALS.items():
        if score := re.match(r"\d+", row.get(column) or ""):
            found[name] = float(score[0])
    if face := re.match(r"\d+([apx])", row.get("renal") or row.get("padua") or ""):
        found["A, face"] = FACES[face[1]]
    if row.get("c_index"):
        found[C_INDEX] = float(row["c_index"])
    return found


def kappa(ours: Array, theirs: Array) -> float:
    """Cohen's kappa with quadratic weights; nan where both are one and the same constant.

    The mean squared difference that chance gives needs no table: of independent draws it is the sum
    of both variances and of the squared difference of the means.
    """
    chance = ours.var() + theirs.var() + (ours.mean() - theirs.mean()) ** 2
    return 1 - float(((ours - theirs) ** 2).mean() / chance) if chance else float("nan")


def paired(ours: Table, theirs: Table) -> dict[str, tuple[Array, Array]]:
    """Gives both programs' numbers (N,) of the studies that both assessed, by what they count."""
    pairs: dict[str, list[tuple[float, float]]] = {
        name: [] for name in (*POINTS, "A, face", *TOTALS, C_INDEX)
    }
    for study in sorted(set(ours) & set(theirs)):
        first, second = numbers_of(ours[study]), numbers_of(theirs[study])
        for name in first.keys() & second.keys():
            pairs[name].append((first[name], second[name]))
    return {name: (*np.array(both).T,) for name, both in pairs.items() if both}


def points_table(pairs: Mapping[str, tuple[Array, Array]]) -> list[str]:
    """The lines of a table: how often points agree, and by how much ours are higher."""
    rows = []
    for name, (ours, theirs) in pairs.items():
        if name == C_INDEX:
            continue
        higher = (ours - theirs).astype(int)
        counts = [(higher <= -2).sum(), *((higher == n).sum() for n in (-1, 0, 1))]
        cells = [len(ours), f"{100 * (higher == 0).mean():.0f} %", f"{kappa(ours, theirs):.2f}"]
        rows.append([name, *map(str, (*cells, *counts, (higher >= 2).sum()))])
    heads = ["points", "tumors", "the same", "weighted kappa", "-2 or less", "-1", "0", "1"]
    return table([*heads, "2 or more"], rows, slice(1, None))


def size_table(programs: Mapping[str, Table], facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lines of a table: diameters against the size that radiology reported."""
    rows = []
    for program, lesions in programs.items():
        for name, column in _SIZES.items():
            there = [study for study, row in lesions.items() if row.get(column) and study in facts]
            if not there:
                continue
            found = np.array([float(lesions[study][column]) for study in there])
            error = found - 10 * np.array([facts[study]["radiographic_size"] for study in there])
            low, middle, high = np.percentile(error, (_LIMITS[0], 50, _LIMITS[1]))
            cells = [f"{middle:+.1f}", f"{np.median(abs(error)):.1f}", f"{low:+.0f} to {high:+.0f}"]
            rows.append([program, name, str(len(there)), *cells])
    heads = ["program", "diameter", "tumors", "median error, mm", "median absolute error, mm"]
    return table([*heads, "limits (95 %), mm"], rows, slice(2, None))


def surgery_table(
    programs: Mapping[str, Table], facts: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """The lines of a table: how well scores tell radical from partial nephrectomies.

    The area is the share of pairs of one each in which the radical one has the higher score, for
    the C-index the lower.
    """
    rows = []
    for name in (*TOTALS, C_INDEX):
        scores = [
            {
                study: found[name]
                for study, row in lesions.items()
                if name in (found := numbers_of(row))
            }
            for lesions in programs.values()
        ]
        there = set(facts).intersection(*scores)
        radical = {study for study in there if "radical" in facts[study]["surgical_procedure"]}
        groups = radical, there - radical
        if all(groups):
            areas = [
                _area(*([each[study] for study in group] for group in groups)) for each in scores
            ]
            cells = [f"{1 - area if name == C_INDEX else area:.2f}" for area in areas]
            rows.append([name, *(str(len(group)) for group in groups), *cells])
    heads = ["score", "radical", "partial", *(f"area, {program}" for program in programs)]
    return table(heads, rows, slice(1, None))


def _area(high: Sequence[float], low: Sequence[float]) -> float:
    """The share of pairs of one each in which that of `high` is larger; equal ones count half."""
    return float(mannwhitneyu(high, low).statistic / len(high) / len(low))


def report(ours: Table, theirs: Table, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables, for a document."""
    pairs = paired(ours, theirs)
    programs = {"ours": ours, "oracle": theirs}
    blocks = [points_table(pairs), size_table(programs, facts), surgery_table(programs, facts)]
    if C_INDEX in pairs:
        first, second = pairs[C_INDEX]
        low, middle, high = np.percentile(first - second, (_LIMITS[0], 50, _LIMITS[1]))
        limits = f"median {middle:+.2f}, 95 % from {low:+.2f} to {high:+.2f}"
        blocks.insert(1, [f"C-index, ours minus theirs: {limits} ({len(first)} tumors)."])
    return "\n\n".join("\n".join(lines) for lines in blocks)

"""Compares two studies of a patient: matched lesions, new and gone ones, and both kidneys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from renalseg.findings.followup.change import Change, Errors, change_of, outline_error
from renalseg.findings.followup.comparison import EARLIER, LATER, Comparison, Lesion, Moved
from renalseg.findings.followup.match import Move, Pair, TimePoint, find_move, match
from renalseg.labels import MeasuredSegment, Side


@dataclass(frozen=True, eq=False)
class Found:
    """A comparison, and what pictures of it need.

    Attributes:
        comparison: What changed.
        moves: How each kidney moved that was registered.
    """

    comparison: Comparison
    moves: Mapping[Side, Move]


_NONE: Mapping[int, Errors] = MappingProxyType({})


def compare(
    prior: TimePoint,
    now: TimePoint,
    days: int | None,
    *,
    prior_errors: Mapping[int, Errors] = _NONE,
    now_errors: Mapping[int, Errors] = _NONE,
) -> Found:
    """Compares two studies of a patient.

    Args:
        prior: The earlier one.
        now: The later one.
        days: Between them; None where that is not known.
        prior_errors: Measured errors by segment number; others are bounded by the voxels.
        now_errors: The same of the later study.
    """
    prior, now = prior.near(), now.near()

    def changed(pair: tuple[MeasuredSegment, MeasuredSegment], *extra: float) -> Change:
        times = ((prior, prior_errors, pair[0]), (now, now_errors, pair[1]))
        errors = [
            measured.get(each.number) or outline_error(time.segmented == each.number, time.affine)
            for time, measured, each in times
        ]
        return change_of(*pair, (errors[0], errors[1]), days, *extra)

    sides: dict[Side, Moved] = {}
    moves: dict[Side, Move] = {}
    kidneys, lesions, remarks = [], [], []
    new, gone = list[MeasuredSegment](), list[MeasuredSegment]()
    unmatched: dict[str, list[MeasuredSegment]] = {EARLIER: [], LATER: []}
    for side in Side:
        before, after = prior.of(side, lesions=True), now.of(side, lesions=True)
        own = [time.kidney(side) for time in (prior, now)]
        if own[0] is not None and own[1] is not None:
            kidneys.append(changed((own[0], own[1])))
        elif not prior.of(side) and not now.of(side):
            continue
        move = _move(prior, now, side)
        if isinstance(move, str):
            sides[side] = Moved(reason=move)
            unmatched[EARLIER] += before
            unmatched[LATER] += after
            continue
        moves[side], sides[side] = move, _moved(move)
        pairs = match(before, after, (prior, now), move)
        lesions += [changed((each.prior, each.now), each.overlap, each.distance) for each in pairs]
        gone += [each for each in before if not any(each is pair.prior for pair in pairs)]
        fresh = [each for each in after if not any(each is pair.now for pair in pairs)]
        new += fresh
        remarks += _parts(fresh, pairs, prior, move)
    changes = (*kidneys, *lesions)
    return Found(
        Comparison(
            days,
            kidneys=tuple(kidneys),
            lesions=tuple(lesions),
            new=tuple(map(Lesion.of, new)),
            gone=tuple(map(Lesion.of, gone)),
            unmatched={
                when: tuple(map(Lesion.of, each)) for when, each in unmatched.items() if each
            },
            sides=sides,
            remarks=(*_cut(changes), *_renamed(lesions), *remarks),
        ),
        moves,
    )


def _move(prior: TimePoint, now: TimePoint, side: Side) -> Move | str:
    lacking = [when for when, time in ((EARLIER, prior), (LATER, now)) if time.kidney(side) is None]
    if lacking:
        return f"the {' and the '.join(lacking)} study shows no kidney there"
    return find_move(prior, now, side)


def _moved(move: Move) -> Moved:
    found = move.alignment
    return Moved(
        round(found.shift_mm, 1), round(found.degrees, 1), round(100 * move.covered, 1), move.by
    )


def _cut(changes: tuple[Change, ...]) -> list[str]:
    return [
        f"{change.label} is cut by the scan in one of the studies: its change is not known."
        for change in changes
        if change.lower_bound
    ]


def _renamed(lesions: list[Change]) -> list[str]:
    return [
        f"{change.label} was {change.prior_label[0].lower()}{change.prior_label[1:]} in the "
        "earlier study: the segmentation calls it something else, which proves no change."
        for change in lesions
        if change.kind != change.prior_kind
    ]


def _parts(
    fresh: list[MeasuredSegment], pairs: list[Pair], prior: TimePoint, move: Move
) -> list[str]:
    """What is new and lies where another lesion was."""
    said = []
    for segment in fresh:
        there = set(prior.segmented[move.carried == segment.number].tolist())
        for pair in pairs:
            if pair.prior.number in there:
                said.append(
                    f"{segment.label} lies where {pair.prior.label[0].lower()}"
                    f"{pair.prior.label[1:]} was: it may be a part of it."
                )
    return said

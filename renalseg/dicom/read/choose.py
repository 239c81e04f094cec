"""Plan what is done with each study of a folder: group, split, score and rank its series."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from renalseg.dicom.read.duplicates import drop_duplicates, drop_equal_slices
from renalseg.dicom.read.hounsfield import refuse_other_units
from renalseg.dicom.read.pixels import check_values
from renalseg.dicom.read.plan import Candidate, Plan, StudyPlan
from renalseg.dicom.read.scan import Scan
from renalseg.dicom.read.series_points import score
from renalseg.dicom.read.size_limits import check_slice
from renalseg.dicom.read.slice_grid import arrange
from renalseg.dicom.read.stacks import MANY, Stack, split_series
from renalseg.dicom.read.wanted import find_wanted
from renalseg.dicom.tags import Instance, describe
from renalseg.errors import InputError
from renalseg.volumes.size_limits import check_volume

logger = logging.getLogger(__name__)


def make_plan(scan: Scan, *, allow_gaps: bool = False, wanted: str | None = None) -> Plan:
    """Group slices by study and series, split series into stacks, and score them.

    Args:
        scan: What the folder holds.
        allow_gaps: Whether a series in which slices are missing may be processed, as far as the
            kidneys lie elsewhere.
        wanted: The only series of each study that may be processed, see
            `renalseg.dicom.read.wanted.find_wanted`; None for the one that suits best.
    """
    series: dict[tuple[str, str], list[Instance]] = {}
    for instance in scan.instances:
        uids = (instance.optional("StudyInstanceUID"), instance.text("SeriesInstanceUID"))
        series.setdefault(uids, []).append(instance)
    clashes = _clashes(series)
    studies = _take_single_slices(series)
    copies: list[Path] = []
    for (study, uid), instances in sorted(series.items()):
        candidates = studies.setdefault(study, [])
        try:
            if uid in clashes:
                raise InputError(clashes[uid])
            unique, same, said = _unique(instances)
            copies += same
            stacks = split_series(unique)
        except InputError as error:
            flaws = [instance.flaw for instance in instances if instance.flaw is not None]
            reason = flaws[0] if flaws else str(error)
            candidates.append(Candidate(study, uid, tuple(instances), reason=reason))
            continue
        stacks = [stack._replace(warnings=(*said, *stack.warnings)) for stack in stacks]
        parts = [_candidate(study, uid, stack, allow_gaps) for stack in stacks]
        candidates += _refuse_fragments(parts)
    for candidate in (candidate for found in studies.values() for candidate in found):
        logger.info("%s: %s", candidate.name, candidate.reason or dict(candidate.score))
    plans = (_study(study, found, wanted).settled() for study, found in sorted(studies.items()))
    return Plan(scan, tuple(plans), tuple(dict.fromkeys(copies)))


def _study(study: str, candidates: Sequence[Candidate], wanted: str | None) -> StudyPlan:
    plan = StudyPlan(study, tuple(candidates))
    if wanted is None:
        return plan
    try:
        return replace(plan, wanted=find_wanted(candidates, wanted))
    except InputError as error:
        return replace(plan, refusal=str(error))


def _take_single_slices(
    series: dict[tuple[str, str], list[Instance]],
) -> dict[str, list[Candidate]]:
    """Remove slices that each have a study or series of their own before grouping.

    They become one candidate, so that one reason stands for all.

    Args:
        series: Slices by the UIDs of study and series; loses what is taken.

    Returns:
        The candidates by study.
    """
    taken: dict[str, list[Candidate]] = {}
    sizes = Counter(study for (study, _), instances in series.items() for _ in instances)
    single = [key for key in series if sizes[key[0]] == 1]
    groups = [(single, "StudyInstanceUID")]
    for study in sizes:
        own = [key for key in series if key[0] == study and len(series[key]) == 1]
        groups.append(([key for key in own if key not in single], "SeriesInstanceUID"))
    for keys, keyword in groups:
        if len(keys) < MANY:
            continue
        study, uid = min(keys)
        instances = tuple(each for key in sorted(keys) for each in series.pop(key))
        reason = (
            f"expected slices that share a {describe(keyword)}, found {len(keys)} that each have "
            "their own: a program renamed each slice; export the study again"
        )
        taken.setdefault(study, []).append(Candidate(study, uid, instances, reason=reason))
    return taken


def _clashes(series: Mapping[tuple[str, str], Sequence[Instance]]) -> dict[str, str]:
    """Find the series that share a SOPInstanceUID with another one."""
    owners: dict[str, tuple[str, str]] = {}
    clashes: dict[str, str] = {}
    for key, instances in series.items():
        for instance in instances:
            uid = instance.optional("SOPInstanceUID")
            owner = owners.setdefault(uid, key)
            if uid and owner != key:
                message = f"conflicting instances: SOPInstanceUID {uid} is in two series"
                clashes[owner[1]] = clashes[key[1]] = f"{message}, {owner[1]} and {key[1]}"
    return clashes


def _unique(instances: Sequence[Instance]) -> tuple[list[Instance], list[Path], list[str]]:
    """Return a series without copies, the copies' files, and warnings about them."""
    for instance in instances:
        instance.text("StudyInstanceUID")
        instance.text("SOPInstanceUID")
    flawless = [instance for instance in instances if instance.flaw is None]
    unique, copies = drop_duplicates(flawless)
    unique, equal = drop_equal_slices(unique)
    flawed = [instance for instance in instances if instance.flaw is not None]
    said = []
    if equal:
        slices = "1 slice is" if len(equal) == 1 else f"{len(equal)} slices are"
        said.append(
            f"{slices} stored twice under different SOPInstanceUIDs, with equal pixels at the "
            "same place: each was read once"
        )
    return [*unique, *flawed], [copy.path for copy in (*copies, *equal)], said


def _refuse_fragments(parts: Sequence[Candidate]) -> list[Candidate]:
    """Refuse small parts of a series: they must not replace a large one that is refused."""
    most = max(len(part.instances) for part in parts)
    return [
        replace(part, reason=f"{size} slices are a fragment beside the {most} of another part")
        if 2 * (size := len(part.instances)) < most and part.reason is None
        else part
        for part in parts
    ]


def _candidate(study: str, uid: str, stack: Stack, allow_gaps: bool) -> Candidate:
    candidate = Candidate(study, uid, stack.instances, stack.part, reason=stack.reason)
    if stack.reason is not None:
        return candidate
    try:
        for instance in stack.instances:
            if instance.flaw is not None:
                raise InputError(instance.flaw)
            refuse_other_units(instance)
            check_values(instance)
            check_slice(instance)
        grid = arrange(stack.instances, allow_gaps=allow_gaps)
        candidate = replace(
            candidate, grid=grid._replace(warnings=(*stack.warnings, *grid.warnings))
        )
        check_volume(grid.shape)
        return replace(candidate, score=score(stack.instances, grid))
    except InputError as error:
        return replace(candidate, reason=str(error))

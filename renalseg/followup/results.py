"""Compares two results of a patient, and writes what changed and the later result anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydicom.dataset import Dataset

from renalseg.dicom.read.dates import days_between, known_days
from renalseg.dicom.read.series import CTSeries
from renalseg.errors import InputError
from renalseg.findings.followup.change import Errors
from renalseg.findings.followup.comparison import Comparison, PriorStudy
from renalseg.output.comparison_files import PAGE_FILE, write_comparison
from renalseg.output.earlier import (
    Earlier,
    evidence_of,
    files_of,
    predecessors,
    refuse_others,
)
from renalseg.output.folder import complete_or_nothing
from renalseg.output.stored import Stored, write_again

_NONE: Mapping[int, Errors] = MappingProxyType({})


def compare_results(
    prior: Stored,
    now: Stored,
    out_dir: Path,
    *,
    days: int | None = None,
    prior_errors: Mapping[int, Errors] = _NONE,
    now_errors: Mapping[int, Errors] = _NONE,
) -> Comparison:
    """Compares two results of a patient and writes what changed.

    The folder gets comparison.json, comparison.csv and comparison.html. Where the CT of the later
    result is a DICOM series at hand, it also gets that result anew: its objects say what changed,
    name the earlier ones and keep the tracking UIDs of the lesions, so that the folder can be the
    earlier result of the next comparison.

    Args:
        prior: The earlier result.
        now: The later one.
        out_dir: Gets the files when all are complete.
        days: Between the studies; None takes them from the headers.
        prior_errors: Measured errors by segment number, where there are some.
        now_errors: The same of the later result.

    Raises:
        InputError: The results are of different patients, or `out_dir` holds another's.
        OSError: The files cannot be written; `out_dir` is then as it was.
    """
    from renalseg.findings.followup.compare import compare  # imports SimpleITK
    from renalseg.report.html.comparison import comparison_page
    from renalseg.report.html.followup import lesion_pairs

    refuse_two_patients(prior.header, now.header)
    between, said = known_days(days) if days else days_between(prior.header, now.header)
    times = (prior.time, now.time)
    found = compare(*times, between, prior_errors=prior_errors, now_errors=now_errors)
    comparison = replace(
        found.comparison,
        prior=PriorStudy(**_named(prior)),
        remarks=(*found.comparison.remarks, *said, *_unlike(prior, now)),
    )
    found = replace(found, comparison=comparison)
    studies = [str(now.entry["study"])]
    refuse_others(out_dir, studies)
    with complete_or_nothing(out_dir, stale=partial(files_of, out_dir, studies)) as folder:
        write_comparison(folder, comparison, _named(now))
        names = (_when(prior, "Before"), _when(now, "Now"))
        pairs = list(lesion_pairs(found, *times, names))
        page = comparison_page(comparison, _facts(prior, now), pairs)
        (folder / PAGE_FILE).write_text(page, encoding="utf-8")
        if isinstance(now.ct, CTSeries):
            _write_anew(prior, now, comparison, folder)
    return comparison


def refuse_two_patients(first: Dataset, second: Dataset) -> None:
    """Refuses results whose headers name different patients.

    Raises:
        InputError: They do; the message names no value.
    """
    for keyword in ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"):
        values = {str(each.get(keyword) or "").strip() for each in (first, second)} - {""}
        if len(values) > 1:
            raise InputError(
                f"Expected two studies of one patient, found different values of {keyword}"
            )


def _write_anew(prior: Stored, now: Stored, comparison: Comparison, folder: Path) -> None:
    """Writes the later result with the comparison in it.

    Where a person had corrected it, it still names what it was corrected from.
    """
    known = prior.trackings
    both = (*comparison.kidneys, *comparison.lesions)
    named = {each.number: known.get(each.prior_number) for each in both}
    segments = tuple(replace(each, tracking=named.get(each.number)) for each in now.segments)
    findings = replace(now.findings, segments=segments, comparison=comparison)
    segs = [each for each in prior.objects.values() if each.get("Modality") == "SEG"]
    reports = [] if prior.report is None else [prior.report]
    if now.report is not None and findings.correction is not None:
        reports += predecessors(now.report)
        edited = findings.correction.seg
        segs += [each for each in evidence_of(now.report) if each.SOPInstanceUID == edited]
    earlier = Earlier(reports=tuple(reports), evidence=tuple(segs))
    write_again(now, findings, folder, earlier, now.entry["seconds"])


def _named(stored: Stored) -> dict[str, Any]:
    """What names a result, as `Comparison.prior` has it."""
    run, entry = stored.run, stored.entry
    text = str(stored.header.get("StudyDate") or "")
    iso = f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else None
    named = {name: run[name] for name in ("algorithm", "fingerprint", "version")}
    return {**{name: entry[name] for name in ("study", "series", "phase")}, **named, "date": iso}


def _when(stored: Stored, word: str) -> str:
    date = _named(stored)["date"]
    return word if date is None else f"{word}, {date}"


def _facts(prior: Stored, now: Stored) -> dict[str, str]:
    facts: dict[str, str] = {}
    for word, stored in (("before", prior), ("now", now)):
        named = _named(stored)
        facts |= {
            f"Study {word}": named["study"],
            f"Date {word}": named["date"] or "not known",
            f"Series {word}": named["series"],
            f"Method {word}": f"RenalSeg {named['version']} {named['algorithm']}",
        }
    return facts


def _unlike(prior: Stored, now: Stored) -> list[str]:
    """What differs between two results besides the patient."""
    first, second = _named(prior), _named(now)
    said = []
    same = ("algorithm", "fingerprint", "version")
    if any(first[name] != second[name] for name in same):
        said.append(
            "The studies were segmented by different methods or versions: part of a change may be "
            "theirs."
        )
    if first["phase"] != second["phase"]:
        said.append(
            f"The contrast phases differ ({first['phase']} and {second['phase']}): outlines depend "
            "on them."
        )
    return said

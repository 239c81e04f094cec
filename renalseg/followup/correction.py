"""A result that a person corrected: the edited segmentation is matched, measured and reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from renalseg.dicom.read.segmentation import read_segments, source_uids
from renalseg.dicom.read.series import CTSeries
from renalseg.errors import InputError
from renalseg.findings.correction import Edited, corrected_findings, find_same
from renalseg.findings.sentences import Correction, Judgment
from renalseg.geometry import voxel_volume_mm3
from renalseg.labels import LABELS, kind_of
from renalseg.output.earlier import Earlier, files_of, header_of, refuse_others
from renalseg.output.folder import complete_or_nothing
from renalseg.output.label_maps import label_map
from renalseg.output.stored import Stored, write_again
from renalseg.output.study import StudyResult

_BY_CODE = {info.type.value: kind for kind, info in LABELS.items()}


def measure_corrected(
    seg: Path,
    stored: Stored,
    out_dir: Path,
    *,
    kinds: Mapping[int, int] | None = None,
    person: str | None = None,
) -> StudyResult:
    """Measures a segmentation that a person edited, and writes its result.

    Args:
        seg: The edited DICOM SEG, as a viewer stored it; only read.
        stored: The result that was edited, with its CT, a DICOM series.
        out_dir: Gets the corrected result when it is complete.
        kinds: What segments of the edited SEG are, by number; others say it by their code, their
            name or their place.
        person: Who edited it, as a DICOM person name; stands in the report alone.

    Returns:
        The corrected result.

    Raises:
        InputError: The SEG cannot be read, is of another CT, or does not say what a segment is.
        OSError: The files cannot be written; `out_dir` is then as it was.
    """
    ct = stored.ct
    if not isinstance(ct, CTSeries):
        raise InputError("Expected the DICOM series of the result, found a volume")
    header = header_of(seg)
    uids = source_uids(seg)
    if header is None or uids is None:
        raise InputError(f"Expected an edited DICOM SEG, cannot read {seg}")
    if len(uids) > 1 and stored.entry["series"] not in uids[1:]:
        raise InputError(f"Expected {seg} to be of series {stored.entry['series']}, found another")
    edited = list(_edited(seg, ct, kinds or {}))
    if not edited:
        raise InputError(f"Expected a segment in {seg}, found only empty ones")
    gaps = [(gap.below, gap.above) for gap in ct.gaps]
    phase = stored.findings.judgment.phase
    findings, sources = corrected_findings(
        ct.image,
        find_same(edited, stored.segmented, stored.segments),
        stored.settings.choice.numbers.sides,
        Judgment(phase),
        stored.trackings,
        gaps,
    )
    before, after = (
        label_map(each.segmented, each.segments) for each in (stored.findings, findings)
    )
    changed = float((before != after).sum()) * voxel_volume_mm3(stored.affine) / 1000
    report = stored.report
    correction = Correction(
        str(header.SOPInstanceUID),
        None if report is None else str(report.SOPInstanceUID),
        round(changed, 3),
        sources,
        person,
    )
    findings = replace(findings, correction=correction)
    studies = [str(stored.entry["study"])]
    refuse_others(out_dir, studies)
    with complete_or_nothing(out_dir, stale=partial(files_of, out_dir, studies)) as folder:
        earlier = Earlier(reports=() if report is None else (report,), evidence=(header,))
        return write_again(stored, findings, folder, earlier, {})


def _edited(seg: Path, ct: CTSeries, kinds: Mapping[int, int]) -> Iterator[Edited]:
    for number, name, code, mask in read_segments(seg, ct):
        kind = kinds.get(number)
        kind = _BY_CODE.get(code) if kind is None else kind
        yield Edited(number, np.asarray(mask), kind_of(name) if kind is None else kind)

"""Results of earlier runs, read back from their folder, with or without their CT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from renalseg import __version__
from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.files import list_files
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.segmentation import read_alone, read_saved, trackings
from renalseg.dicom.read.series import CTSeries, load
from renalseg.errors import InputError
from renalseg.findings.findings import Findings
from renalseg.findings.segments import split_segments
from renalseg.findings.sentences import Correction, Judgment
from renalseg.geometry import Array
from renalseg.inference.choice import Choice, others_of
from renalseg.inference.methods import build_numbers
from renalseg.intake.ct import CT
from renalseg.intake.folders import name_of, opened
from renalseg.intake.volumes import plan_volumes
from renalseg.labels import ContrastPhase, MeasuredSegment, SeriesPhase, Tracking
from renalseg.output.earlier import Earlier, header_of
from renalseg.output.folder import RESULT_FILE, read_result
from renalseg.output.label_maps import maps_of
from renalseg.output.study import REFUSED, StudyResult, weak_bundles, write_study
from renalseg.report.entries import segments_of
from renalseg.settings import Settings, bundle_folder
from renalseg.volumes.ct import CTVolume, read_ct
from renalseg.volumes.files import is_volume, open_volume

if TYPE_CHECKING:
    from renalseg.findings.followup.match import TimePoint

Entry = Mapping[str, Any]
_SEGS = (".seg.dcm", ".labelmap.dcm")


@dataclass(frozen=True, eq=False)
class Stored:
    """The result of a study that an earlier run wrote.

    Attributes:
        folder: Its folder.
        run: What result.json says of the run.
        entry: What it says of the study.
        ct: The CT; None where it is not at hand.
        segmented: Segment numbers (X, Y, Z): on the grid of the CT's image, or, without the CT, of
            the segmentation.
        affine: (4, 4) of that grid, to RAS mm.
    """

    folder: Path
    run: dict[str, Any]
    entry: dict[str, Any]
    ct: CT | None
    segmented: npt.NDArray[np.uint8]
    affine: Array

    @property
    def segments(self) -> tuple[MeasuredSegment, ...]:
        """The segments, measured."""
        return tuple(segments_of(self.entry))

    @property
    def time(self) -> TimePoint:
        """What a comparison needs of it."""
        from renalseg.findings.followup.match import TimePoint  # imports SimpleITK

        image = None if self.ct is None else self.ct.image
        return TimePoint(self.segmented, self.affine, self.segments, image)

    @property
    def header(self) -> Dataset:
        """Patient and dates, of the CT or else of an object of the result; empty of volumes."""
        if isinstance(self.ct, CTSeries):
            return self.ct.headers[0]
        return next(iter(self.objects.values()), Dataset())

    @cached_property
    def objects(self) -> dict[str, Dataset]:
        """Headers of the DICOM objects of the study, by their file names."""
        names = (str(name) for name in self.entry["files"] if str(name).endswith(".dcm"))
        found = {name: header_of(self.folder / Path(name).name) for name in names}
        return {name: header for name, header in found.items() if header is not None}

    @property
    def report(self) -> Dataset | None:
        """Header of the structured report; None where there is none."""
        return next((each for each in self.objects.values() if each.get("Modality") == "SR"), None)

    @property
    def trackings(self) -> dict[int, Tracking]:
        """What the segmentation calls its segments across studies, by number."""
        path = next(iter(_seg_files(self.folder, self.entry)), None)
        return {} if path is None else trackings(path)

    @property
    def findings(self) -> Findings:
        """What was found, as it was before it was written; without a comparison."""
        entry = self.entry
        phases = msgspec.convert(entry.get("phases", ()), tuple[SeriesPhase, ...])
        judgment = Judgment(
            ContrastPhase(entry["phase"]), entry.get("reason"), tuple(entry.get("review", ()))
        )
        corrected = entry.get("corrected")
        return Findings(
            self.segmented,
            self.segments,
            judgment,
            phases,
            correction=None if corrected is None else _correction(corrected),
        )

    @property
    def settings(self) -> Settings:
        """What ran, as far as objects name it."""
        run = self.run
        where = str(self.folder / RESULT_FILE)
        choice = Choice(
            bundle_folder(),
            run["localizer"],
            run["tumor"],
            torch.device("cpu"),
            run.get("refiner"),
            run["algorithm"],
            build_numbers(run["numbers"], where),
            tuple(run["networks"]),
            run.get("overrides", {}),
            others_of(run),
        )
        return Settings(choice, outputs=tuple(run["outputs"]), empty_frames=run["empty_frames"])

    def with_own_warnings(self) -> CT | None:
        """The CT with the warnings that the run had of it."""
        compared = self.entry.get("comparison") or {"remarks": ()}
        said = {
            *self.entry.get("review", ()),
            *compared["remarks"],
            *weak_bundles(self.settings.choice),
        }
        kept = tuple(text for text in self.entry.get("warnings", ()) if text not in said)
        return None if self.ct is None else replace(self.ct, warnings=kept)


def _correction(entry: Entry) -> Correction:
    return msgspec.convert(entry, Correction, str_keys=True)  # JSON has no numbers as keys


def write_again(
    stored: Stored, findings: Findings, folder: Path, earlier: Earlier, seconds: Mapping[str, float]
) -> StudyResult:
    """Writes a stored result anew, with other findings, and its result.json.

    Args:
        stored: The result, with its CT.
        findings: What is now said of it.
        folder: Gets the files; the caller makes it appear as a whole.
        earlier: What the new objects refer to.
        seconds: Of the stages.

    Raises:
        OSError: A file cannot be written.
    """
    ct = stored.with_own_warnings()
    assert ct is not None  # the caller has seen it
    study = write_study(
        ct, findings, folder, stored.settings, seconds, earlier=earlier, sealed=True
    )
    run = {**stored.run, "version": __version__, "studies": [study.to_dict()]}
    (folder / RESULT_FILE).write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    return study


def read_stored(folder: Path, ct_in: Path | None = None, study: str | None = None) -> Stored:
    """Reads the result of a study.

    Args:
        folder: Folder with result.json and the segmentation or label map; only read.
        ct_in: The CT that it was made of: a folder, or one file; only read. None where it is not at
            hand; then the result must have a DICOM SEG.
        study: StudyInstanceUID, or name of the volume; optional if only one study has a result.

    Raises:
        InputError: There is no such result, its segmentation is missing, or the CT is a different
            one.
    """
    run, entry = _entries(folder, study)
    if ct_in is None:
        return Stored(folder, run, entry, None, *_alone(folder, entry))
    with opened(ct_in) as place:
        ct: CT
        if is_volume(Path(str(entry["series"]))):
            ct = _volume(place, entry, called=name_of(ct_in))
        else:
            ct = _source(place, entry)
    affine = np.asarray(ct.image.affine, dtype=np.float64)
    return Stored(folder, run, entry, ct, _segmented(folder, run, entry, ct), affine)


def _entries(folder: Path, study: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the entries of the run and of one study from result.json."""
    run = read_result(folder)
    found = (entry for entry in run["studies"] if entry["finding"] != REFUSED)
    entries = {entry["study"]: entry for entry in found}
    if study is None and len(entries) == 1:
        (study,) = entries
    if study not in entries:
        asked = f"study {study}" if study else "one study, or the option --study"
        raise InputError(
            f"Expected {asked} in {folder / RESULT_FILE}, found {', '.join(entries) or 'none'}"
        )
    return run, entries[study]


def _alone(folder: Path, entry: Entry) -> tuple[npt.NDArray[np.uint8], Array]:
    """Segment numbers of a SEG on a grid of its own, and the affine of that."""
    for path in _seg_files(folder, entry):
        return read_alone(path)
    if not entry["segments"]:
        return np.zeros((1, 1, 1), np.uint8), np.eye(4)
    raise InputError(
        f"Expected the CT of study {entry['study']}: without it only a result with a DICOM SEG can "
        f"be read, and {folder} holds none"
    )


def _seg_files(folder: Path, entry: Entry) -> list[Path]:
    paths = [folder / Path(str(name)).name for name in entry["files"]]
    return [path for path in paths if path.name.endswith(_SEGS) and path.is_file()]


def _segmented(folder: Path, run: Entry, entry: Entry, ct: CT) -> npt.NDArray[np.uint8]:
    """The segment numbers (X, Y, Z) on the grid of the image."""
    if not entry["segments"]:  # DICOM has no empty segmentation
        return np.zeros(ct.image.shape[1:], np.uint8)
    segs = [name for name in entry["files"] if str(name).endswith(_SEGS)]
    for name in (*segs, *maps_of(entry)):
        path = folder / str(name)
        if not path.is_file():
            continue
        if isinstance(ct, CTSeries) and name in segs:
            return read_saved(path, ct)
        return _split(path, run, entry, ct)
    raise InputError(f"Expected the segmentation of study {entry['study']} in {folder}, found none")


def _split(path: Path, run: Entry, entry: Entry, ct: CT) -> npt.NDArray[np.uint8]:
    """Divides a label map into the segments that it was made of, as the run did."""
    stored = open_volume(path)
    kinds = stored.values().astype(np.uint8)
    if isinstance(ct, CTVolume):
        kinds = ct.turn.forth(kinds)
    segments: list[Any] = []
    if kinds.shape == tuple(ct.image.shape[1:]):
        pred = MetaTensor(torch.from_numpy(kinds.copy())[None], affine=ct.image.affine)
        sides = build_numbers(run["numbers"], str(path.with_name(RESULT_FILE))).sides
        segmented, segments = split_segments(pred, ct.image, sides)
    found = [(segment.label, round(segment.volume_ml, 3)) for segment in segments]
    if found != [(each["label"], round(each["volume_ml"], 3)) for each in entry["segments"]]:
        raise InputError(f"Expected the segments of {RESULT_FILE} in {path}, found others: {found}")
    return segmented


def _volume(place: Path, entry: Entry, *, called: str) -> CTVolume:
    """Finds the volume from which the results were made."""
    plans = plan_volumes(place, list_files(place), called).studies
    for plan in plans:
        if plan.study == entry["study"] and plan.reason is None:
            ct = read_ct(plan.to_read(), plan.study, plan.file)
            if ct.input_hash == entry["input_hash"]:
                return ct
    found = ", ".join(plan.study for plan in plans) or "none"
    raise InputError(
        f"Expected in {place} the volume that the results were made of, {entry['study']} with the "
        f"same voxels; found {found}"
    )


def _source(folder: Path, entry: Entry) -> CTSeries:
    """Finds the series, or the part of one, from which the results were made."""
    plan = make_plan(scan_folder(folder), allow_gaps=True)
    candidates = [candidate for study in plan.studies for candidate in study.candidates]
    for candidate in candidates:
        if candidate.series == entry["series"] and candidate.reason is None:
            series = load(candidate)
            if series.input_hash == entry["input_hash"]:
                return series
    found = ", ".join(sorted({candidate.series for candidate in candidates})) or "none"
    raise InputError(
        f"Expected in {folder} the CT that the results were made of, series {entry['series']} with "
        f"the same pixels; found the series {found}"
    )

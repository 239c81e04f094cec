"""The stages from a DICOM study to a DICOM segmentation, one function each.

The operators of the application call them one by one; `run` calls them all, without Holoscan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from monai.data import MetaTensor

from renalseg.dicom.read.choose import Plan, StudyPlan, make_plan
from renalseg.dicom.read.codecs import missing_decoders
from renalseg.dicom.read.gaps import refuse_gaps_at
from renalseg.dicom.read.packed import unpacked
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import CTSeries, read_best
from renalseg.dicom.read.series_points import names_another_part
from renalseg.errors import InputError, some_of
from renalseg.findings.plausibility import Judged, judge
from renalseg.inference.models import Models
from renalseg.output.place import Place, all_at_once
from renalseg.output.result import Result
from renalseg.output.study import REFUSED, StudyResult, weak_bundles
from renalseg.runtime import log
from renalseg.runtime.progress import announce, steps
from renalseg.settings import Settings

SegmentStudy = Callable[[StudyPlan, Place, Models], StudyResult]

LOOKING = "Looking through the folder"
STAGES: Mapping[str, str] = {
    "read": "Reading the series",
    "localize": "Finding the kidneys",
    "tumor": "Finding tumors",
    "write": "Writing the segmentation",
}


@contextmanager
def timed(name: str, timings: dict[str, float]) -> Iterator[None]:
    """Keeps the seconds of a stage when it is done.

    Args:
        name: A key of `STAGES`.
        timings: Gets the seconds under that name.
    """
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start


@contextmanager
def stage(name: str, timings: dict[str, float]) -> Iterator[None]:
    """Announces a stage, and keeps its seconds when it is done.

    Args:
        name: A key of `STAGES`.
        timings: Gets the seconds under that name.
    """
    log.say(STAGES[name], "stage began", stage=name)
    with timed(name, timings):
        yield
    log.note("stage ended", stage=name, seconds=round(timings[name], 3))


def look_through(dicom_dir: Path, *, allow_gaps: bool = False, series: str | None = None) -> Plan:
    """Settles what is to be done with each study of a folder, from headers alone.

    Args:
        dicom_dir: Folder with the DICOM files of one patient.
        allow_gaps: Whether slices may be missing away from the kidneys.
        series: The only series of each study that may be processed, as `Settings` has it.

    Raises:
        InputError: There is no DICOM file in it, or it holds several patients.
    """
    with steps("files") as progress:
        scan = scan_folder(dicom_dir, progress=progress)
        plan = make_plan(scan, allow_gaps=allow_gaps, wanted=series)
    for warning in (*missing_decoders(), *plan.warnings):
        announce(f"Warning: {warning}")
    return plan


def load_study(study: StudyPlan) -> CTSeries:
    """Reads the CT series of a study that suits best.

    Raises:
        InputError: There is none that can be processed.
    """
    with steps("slices") as progress:
        series = read_best(study, progress=progress)
    for warning in series.warnings:
        announce(f"Warning: {warning}")
    return series


def localize(series: CTSeries, models: Models) -> MetaTensor:
    """Finds the kidneys: (1, X, Y, Z) uint8 on the grid of the series, see `Models.find_kidneys`.

    Raises:
        InputError: Slices are missing at the kidneys.
    """
    for warning in weak_bundles(models.settings):
        announce(f"Warning: {warning}")
    return find_kidneys(series, models)


def find_kidneys(series: CTSeries, models: Models) -> MetaTensor:
    """`localize`, without what is said about the bundles.

    Raises:
        InputError: Slices are missing at the kidneys.
    """
    kidney = models.find_kidneys(series.image)
    if series.gaps:
        labels, affine = kidney[0].cpu().numpy(), series.image.affine.numpy()
        refuse_gaps_at(labels, series.gaps, affine)
    return kidney


def find_tumors(series: CTSeries, kidney: MetaTensor, models: Models) -> MetaTensor:
    """Segments the kidneys: (1, X, Y, Z) uint8 on the grid of the series, 1 kidney, 2 tumor."""
    return models.find_tumors(series.image, kidney)


def judge_found(series: CTSeries, pred: MetaTensor, settings: Settings) -> Judged:
    """Keeps of what was found what can be kidneys and tumors, see `renalseg.findings.plausibility`.

    Args:
        series: The source.
        pred: Of `find_tumors`.
        settings: The limits of its method count.
    """
    elsewhere = names_another_part(str(series.headers[0].get("BodyPartExamined") or ""))
    judged = judge(series.image, pred, settings.numbers.plausibility, elsewhere=elsewhere)
    reason = judged.judgment.reason
    for text in (*([] if reason is None else [f"no kidney: {reason}"]), *judged.judgment.review):
        announce(f"Warning: {text}")
    return judged


def segment_study(study: StudyPlan, place: Place, models: Models) -> StudyResult:
    """Runs the stages on one study.

    Args:
        study: What is known of it.
        place: Gets its files.
        models: What runs; they may still be compiled.

    Raises:
        InputError: It cannot be processed.
    """
    timings: dict[str, float] = {}
    with stage("read", timings):
        series = load_study(study)
    with stage("localize", timings):
        kidney = localize(series, models)
    with stage("tumor", timings):
        pred = find_tumors(series, kidney, models)
        judged = judge_found(series, pred, models.settings)
    with stage("write", timings):
        return place.write(series, judged.pred, models.settings, timings, judged.judgment)


def run(
    dicom_dir: Path, out_dir: Path, models: Models, segment: SegmentStudy = segment_study
) -> Result:
    """Segments each study of a folder.

    A study that is refused does not stop the others; its refusal stands in the result.

    Args:
        dicom_dir: Folder with the DICOM files of one patient, one file, or an archive of them;
            only read.
        out_dir: Gets the results of all studies when they are complete.
        models: What runs; they may still be compiled.
        segment: Runs the stages on one study.

    Raises:
        InputError: All studies were refused; the output folder is as it was.
    """
    announce(LOOKING)
    with unpacked(dicom_dir) as folder:
        return _run(folder, out_dir, models, segment)


def _run(folder: Path, out_dir: Path, models: Models, segment: SegmentStudy) -> Result:
    settings = models.settings
    plan = look_through(folder, allow_gaps=settings.allow_gaps, series=settings.series)
    refuse_unreadable(plan)
    with all_at_once(out_dir) as place:
        place.claim([study.study for study in plan.studies])
        studies = []
        for number, study in enumerate(plan.studies, start=1):
            with log.about_study(study.study):
                if len(plan.studies) > 1:
                    announce(f"Study {number} of {len(plan.studies)}: {study.study}")
                studies.append(or_refusal(study, partial(segment, study, place, models)))
        result = account(plan, studies, out_dir, models.settings)
        result.write(place.folder)
    return result


def or_refusal(study: StudyPlan, segment: Callable[[], StudyResult]) -> StudyResult:
    """What a study gives, or its refusal."""
    try:
        return segment()
    except InputError as error:
        study.refuse(str(error))
        return StudyResult(study.study, "", REFUSED, reason=str(error))


def refuse_unreadable(plan: Plan) -> None:
    """Ends a run before it starts where nothing is left but what cannot be read.

    Raises:
        InputError: The folder has damaged DICOM files, and no CT series.
    """
    if not plan.studies and plan.scan.refused:
        raise InputError(" ".join(plan.warnings))


def account(
    plan: Plan, studies: Sequence[StudyResult], out_dir: Path, settings: Settings
) -> Result:
    """Accounts for all studies, series and files of a folder, and announces what was refused.

    Args:
        plan: What was to be done.
        studies: What came of it.
        out_dir: Where the results will be.
        settings: What ran.

    Raises:
        InputError: All studies were refused.
    """
    if studies and all(study.finding == REFUSED for study in studies):
        reasons = [str(study.reason) for study in studies]
        if len(studies) > 1:
            uids = (study.study for study in studies)
            reasons = [f"study {uid}: {why}" for uid, why in zip(uids, reasons, strict=True)]
        raise InputError(" ".join((some_of(reasons, joint=" "), *plan.warnings)))
    for study in studies:
        if study.finding == REFUSED:
            with log.about_study(study.study):
                announce(f"Refused: study {study.study}: {study.reason}")
    warnings = (*missing_decoders(), *plan.warnings)
    return Result(out_dir, settings, tuple(studies), plan.series(), plan.files(), warnings)

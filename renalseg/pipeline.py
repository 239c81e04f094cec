"""The one road from a DICOM study to its result: read, localize, tumor, measure, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from monai.data import MetaTensor

from renalseg.dicom.read.codecs import missing_decoders
from renalseg.dicom.read.gaps import refuse_gaps_at
from renalseg.dicom.read.plan import Candidate, Plan
from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.read.series_points import names_another_part
from renalseg.errors import InputError, some_of
from renalseg.findings.confidence import NOT_CALIBRATED, Calibration
from renalseg.findings.findings import Findings, find
from renalseg.inference.calibration import calibration_of
from renalseg.inference.models import Models
from renalseg.intake import folders
from renalseg.intake.companions import companions, read_all
from renalseg.intake.ct import CT, read_study
from renalseg.intake.folders import AnyFolder, AnyPlan, AnyStudy, name_of
from renalseg.intake.volumes import VolumesPlan
from renalseg.limits import Numbers
from renalseg.output.place import Place, all_at_once
from renalseg.output.result import Result
from renalseg.output.study import REFUSED, StudyResult, weak_bundles
from renalseg.runtime import log
from renalseg.runtime.progress import announce, steps
from renalseg.settings import Settings

Read = Callable[[AnyStudy, dict[str, float]], CT]
"""Gives the CT of a study, and puts the seconds that it took under "read"."""
Watch = Callable[[str, dict[str, float]], AbstractContextManager[None]]
"""Goes around a stage, and puts its seconds under its name."""
Segment = Callable[[AnyStudy, Place], StudyResult]
"""Runs the stages on one study."""

LOOKING = "Looking through the folder"
STAGES: Mapping[str, str] = {
    "read": "Reading the series",
    "localize": "Finding the kidneys",
    "tumor": "Finding tumors",
    "measure": "Measuring what was found",
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


def stages(
    study: AnyStudy,
    place: Place,
    models: Models,
    settings: Settings,
    *,
    read: Read | None = None,
    watch: Watch = stage,
) -> Iterator[CT | MetaTensor | Findings | StudyResult]:
    """Runs the stages of one study, one each time the generator is advanced.

    This is the only road from a study to its result. The command and the Python call run it to its
    end, the application advances it by an operator a stage, the archive reads ahead of it.

    Args:
        study: What is planned for it; learns which of its series prove unusable.
        place: Gets its files.
        models: What runs; they may still be compiled.
        settings: What is written.
        read: Gives the CT; `load_study` by default.
        watch: Goes around each stage; announces it by default.

    Yields:
        What each stage of `STAGES` made: the CT; the kidneys, see `Models.find_kidneys`; the
        labels, see `Models.find_tumors`; the findings; the result.

    Raises:
        InputError: The study cannot be processed.
    """
    timings: dict[str, float] = {}
    ct = (read or load_study)(study, timings)
    yield ct
    with watch("localize", timings):
        kidney = localize(ct, models)
    yield kidney
    with watch("tumor", timings):
        pred = models.find_tumors(ct.image, kidney)
    yield pred
    with watch("measure", timings):
        calibration = calibration_of(settings.choice)
        findings = take_findings(ct, pred, settings.choice.numbers, companions(study), calibration)
    yield findings
    with watch("write", timings):
        result = place.write(ct, findings, settings, timings)
    yield result


def look_through(
    folder: Path, *, allow_gaps: bool = False, series: str | None = None, called: str | None = None
) -> AnyFolder:
    """Settles what is to be done with each study of a folder, from headers alone.

    Args:
        folder: Folder with the DICOM files of one patient or with volumes, or one file.
        allow_gaps: Whether slices may be missing away from the kidneys.
        series: The only series of each study that may be processed, as `Settings` has it.
        called: What the folder is called, where it has been unpacked to another.

    Raises:
        InputError: There is neither in it, or it holds several patients.
    """
    with steps("files") as progress:
        found = folders.look_through(
            folder, allow_gaps=allow_gaps, wanted=series, called=called, progress=progress
        )
    for warning in (*_decoders(found.plan), *found.plan.warnings):
        announce(f"Warning: {warning}")
    return found


def _decoders(plan: AnyPlan) -> tuple[str, ...]:
    """Warnings about decoders that are missing, if they could be needed."""
    return tuple(missing_decoders()) if isinstance(plan, Plan) else ()


def load_study(study: AnyStudy, timings: dict[str, float]) -> CT:
    """Reads the CT of a study, the series that suits best, and announces it.

    Args:
        study: What is planned for it; learns what proves unusable.
        timings: Gets the seconds.

    Raises:
        InputError: There is none that can be processed.
    """
    with stage("read", timings), steps("slices") as progress:
        ct = read_study(study, progress=progress)
    for warning in ct.warnings:
        announce(f"Warning: {warning}")
    return ct


def localize(ct: CT, models: Models) -> MetaTensor:
    """Finds the kidneys: (1, X, Y, Z) uint8 on the grid of the CT, see `Models.find_kidneys`.

    Raises:
        InputError: Slices are missing at the kidneys.
    """
    kidney = models.find_kidneys(ct.image)
    if isinstance(ct, CTSeries) and ct.gaps:
        labels, affine = kidney[0].cpu().numpy(), ct.image.affine.numpy()
        refuse_gaps_at(labels, ct.gaps, affine)
    return kidney


def take_findings(
    ct: CT,
    pred: MetaTensor,
    numbers: Numbers,
    others: Sequence[Candidate] = (),
    calibration: Calibration | str = NOT_CALIBRATED,
) -> Findings:
    """Keeps, divides and measures what can be kidneys and tumors, and announces what cannot.

    Args:
        ct: The source.
        pred: Labels (1, X, Y, Z) uint8 on its grid, of `Models.find_tumors`.
        numbers: Of the method.
        others: Further series of the study, in which the findings are followed.
        calibration: Of the method; or why there is none.
    """
    elsewhere = isinstance(ct, CTSeries) and names_another_part(ct.body_part)
    gaps = [(gap.below, gap.above) for gap in ct.gaps] if isinstance(ct, CTSeries) else []
    findings = find(
        ct.image, pred, numbers, elsewhere=elsewhere, gaps=gaps, calibration=calibration
    )
    if others and findings.segments:
        from renalseg.findings.phases import follow  # imports SimpleITK, which takes its time

        findings = follow(findings, ct.image, read_all(others), numbers.plausibility)
    reason, review = findings.judgment.reason, findings.judgment.review
    for text in (*([] if reason is None else [f"no kidney: {reason}"]), *review):
        announce(f"Warning: {text}")
    return findings


def run(
    source: Path,
    out_dir: Path | None,
    models: Models,
    settings: Settings,
    segment: Segment | None = None,
) -> Result:
    """Segments each study of a folder.

    A study that is refused does not stop the others; its refusal stands in the result.

    Args:
        source: Folder with the DICOM files of one patient or with volumes, one file, or an archive
            of them; only read.
        out_dir: Gets the results of all studies when they are complete; None to keep none.
        models: What runs; they may still be compiled.
        settings: What is read and written.
        segment: Runs the stages on one study; `stages`, one after the other, by default.

    Raises:
        InputError: All studies were refused; the output folder is as it was.
    """
    announce(LOOKING)
    with folders.opened(source) as folder:
        found = look_through(
            folder,
            allow_gaps=settings.allow_gaps,
            series=settings.series,
            called=name_of(source),
        )
        if found.plan.studies:
            warn_of_weak(settings)
        segment = segment or run_stages(models, settings)
        return segment_folder(found, out_dir, settings, segment)


def warn_of_weak(settings: Settings) -> None:
    """Announces which bundles of a run are weak, see `weak_bundles`."""
    for warning in weak_bundles(settings.choice):
        announce(f"Warning: {warning}")


def run_stages(
    models: Models, settings: Settings, *, read: Read | None = None, watch: Watch = stage
) -> Segment:
    """What runs the stages of a study one after the other; the arguments are those of `stages`."""

    def segment(study: AnyStudy, place: Place) -> StudyResult:
        *_, result = stages(study, place, models, settings, read=read, watch=watch)
        return cast(StudyResult, result)

    return segment


def segment_folder(
    folder: AnyFolder, out_dir: Path | None, settings: Settings, segment: Segment
) -> Result:
    """Segments the studies of a folder that was looked through.

    Args:
        folder: What is planned for it; learns what comes of it.
        out_dir: Gets the results of all studies when they are complete; None to keep none.
        settings: What runs.
        segment: Runs the stages on one study.

    Raises:
        InputError: All studies were refused, or nothing can be read; the output folder is as it
            was.
    """
    plan = folder.plan
    if isinstance(plan, VolumesPlan):
        _check_output(plan, out_dir, settings)
    elif not plan.studies and plan.scan.refused:
        raise InputError(" ".join(plan.warnings))
    with all_at_once(out_dir) as place:
        place.claim([study.study for study in plan.studies])
        studies = []
        todo: Sequence[AnyStudy] = folder.studies
        for number, study in enumerate(todo, start=1):
            uid = study.plan.study
            with log.about_study(uid):
                if len(plan.studies) > 1:
                    log.say(f"Study {number} of {len(plan.studies)}: {uid}")
                studies.append(_or_refusal(study, partial(segment, study, place)))
        result = account(folder.left, studies, out_dir, settings)
        result.write(place.folder)
    return result


def _check_output(plan: VolumesPlan, out_dir: Path | None, settings: Settings) -> None:
    """Refuses results of volumes that cannot be written, or would replace their own source.

    Raises:
        InputError: The volumes lie in the output folder.
        ConfigError: Nothing that is asked for can be made of a volume.
    """
    for study in plan.studies:
        settings.of_volume(study.suffix)
    if out_dir is not None and plan.lies_in(out_dir):
        raise InputError(
            f"Expected an output folder other than that of the volumes, got {out_dir}: results "
            "have the names of their sources"
        )


def _or_refusal(study: AnyStudy, segment: Callable[[], StudyResult]) -> StudyResult:
    """What a study gives, or its refusal."""
    try:
        return segment()
    except InputError as error:
        study.refuse(str(error))
        return StudyResult(study.plan.study, "", REFUSED, reason=str(error))


def account(
    plan: AnyPlan, studies: Sequence[StudyResult], out_dir: Path | None, settings: Settings
) -> Result:
    """Accounts for all studies, series and files of a folder, and announces what was refused.

    Args:
        plan: What was planned, less what proved unusable.
        studies: The result of each study.
        out_dir: Where the results will be, if anywhere.
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
    warnings = (*_decoders(plan), *plan.warnings)
    return Result(out_dir, settings, tuple(studies), plan.series(), plan.files(), warnings)

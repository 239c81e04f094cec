"""What was found in a study, and the files that say so."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from renalseg import __version__
from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.tags import is_uid
from renalseg.dicom.write.references import refer_to_frames
from renalseg.errors import ConfigError, InputError
from renalseg.findings.findings import Findings
from renalseg.findings.followup.comparison import Comparison
from renalseg.findings.followup.sentences import compared
from renalseg.findings.report_text import report_text
from renalseg.findings.sentences import (
    Correction,
    Judgment,
    Statement,
    finding,
    statements,
)
from renalseg.inference.choice import Choice
from renalseg.inference.metadata import TUMOR_METRIC, read_metadata, tumor_metric
from renalseg.intake.ct import CT
from renalseg.labels import ContrastPhase, MeasuredSegment, SeriesPhase
from renalseg.output import fhir
from renalseg.output.earlier import Earlier
from renalseg.output.label_maps import to_source, write_maps
from renalseg.output.meshes import write_meshes
from renalseg.output.objects import make_objects, note
from renalseg.output.probabilities import PROBABILITY, probability_maps, write_probabilities
from renalseg.report.images import name_images
from renalseg.runtime.sealed import open_sealed
from renalseg.settings import OF_ANY_CT, Settings

REFUSED = "refused"  # the finding where there is none
LEAST_DICE = 0.5  # a bundle below it, as its metadata says, runs with a warning
NO_PROBABILITIES = (
    "Not written: probability. Only a bundle of RenalSeg has probabilities, and only when it runs."
)
_UNRELIABLE = "do not rely on what it finds or does not find"
_DIGITS = 8  # of the study's hash: two studies that share a series UID are few


@dataclass(frozen=True)
class StudyResult:
    """What was found in a study, and what was written.

    Attributes:
        study: StudyInstanceUID; the name of a volume's case.
        series: SeriesInstanceUID of the source, or the name of the volume's file; "" where the
            study was refused.
        finding: "no kidney found", "no tumor found", "tumor found" or "refused".
        reason: Why the study was refused, or why what the networks found is no kidney; else None.
        phase: Contrast phase, recognized from the pixels.
        phases: The other series of the study in which the findings were followed.
        review: What a person should look at in what was found; stands among the warnings too.
        segments: What the segmentation holds, measured.
        files: Names of the files.
        pictures: Pictures that were asked for, in a folder of their own.
        slices: Number of source slices.
        input_hash: Of the source; another one supersedes this result.
        supersedes: SOP Instance UIDs of the objects that these take the place of.
        warnings: For people.
        comparison: What changed since an earlier study; None without one.
        corrected: What a person made of it; None where it is what networks found.
        seconds: Of each stage.
    """

    study: str
    series: str
    finding: str
    reason: str | None = None
    phase: ContrastPhase = ContrastPhase.UNKNOWN
    phases: tuple[SeriesPhase, ...] = ()
    review: tuple[str, ...] = ()
    segments: tuple[MeasuredSegment, ...] = ()
    files: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()
    slices: int = 0
    input_hash: str = ""
    supersedes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    comparison: Comparison | None = None
    corrected: Correction | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """All that the result says, the conclusion last; nothing where the study was refused."""
        if self.finding == REFUSED:
            return ()
        return statements(
            self.segments,
            self.judgment,
            self.warnings,
            compared(self.comparison),
            corrected=self.corrected is not None,
        )

    @property
    def judgment(self) -> Judgment:
        """What the result says about itself."""
        return Judgment(self.phase, self.reason, self.review)

    def to_dict(self) -> dict[str, Any]:
        """What result.json says about the study."""
        seconds = {stage: round(value, 2) for stage, value in self.seconds.items()}
        pictures = [str(path) for path in self.pictures]
        said = [statement._asdict() for statement in self.statements]
        text = report_text(self.segments, self.judgment, self.comparison) if said else {}
        own = {"statements": said, "text": dict(text), "pictures": pictures, "seconds": seconds}
        # who corrected it stands in the report alone
        corrected = None if self.corrected is None else replace(self.corrected, person=None)
        return {**asdict(replace(self, corrected=corrected)), **own}


@damage_refused("the results cannot be made from the headers of their source")
def write_study(
    ct: CT,
    findings: Findings,
    folder: Path,
    settings: Settings,
    timings: Mapping[str, float],
    *,
    earlier: Earlier | None = None,
    sealed: bool = False,
) -> StudyResult:
    """Writes the files of one study, named by `file_stem`, into a folder that is there.

    Args:
        ct: The source.
        findings: What was found in it.
        folder: Gets what the settings ask for; the caller makes it appear as a whole.
        settings: What ran.
        timings: Seconds of the stages so far.
        earlier: What the final folder holds of this study.
        sealed: Whether DICOM files stay unreadable until `renalseg.runtime.sealed` unseals them.

    Raises:
        OSError: A file cannot be written.
    """
    start = time.perf_counter()
    earlier = earlier or Earlier()
    segmented, judgment = findings.segmented, findings.judgment
    segments = name_images(ct, segmented, findings.segments)
    warnings = (
        *judgment.review,
        *(() if findings.comparison is None else findings.comparison.remarks),
        *_unanswered(ct, findings),
        *weak_bundles(settings.choice),
    )
    left_out = () if isinstance(ct, CTSeries) else settings.not_of_volume()
    if left_out:
        warnings += (f"Not written: {', '.join(left_out)}. A volume has no DICOM slices for them.",)
    maps = probability_maps(ct, findings.evidence) if PROBABILITY in settings.outputs else {}
    if PROBABILITY in settings.outputs and findings.evidence is None and segments:
        warnings += (NO_PROBABILITIES,)
    said = statements(
        segments,
        judgment,
        warnings,
        compared(findings.comparison),
        corrected=findings.correction is not None,
    )
    files = []
    if isinstance(ct, CTSeries):
        uids = (ct.headers[0].get(f"{kind}InstanceUID", "") for kind in ("Study", "Series"))
        study, source = map(str, uids)
        stem = file_stem(study, source)
        wanted = tuple(name for name in settings.outputs if name in OF_ANY_CT)
        made = make_objects(
            ct,
            segmented,
            segments,
            judgment,
            said,
            settings,
            earlier,
            findings.comparison,
            findings.correction,
            maps,
        )
        for kind, built in made:
            files.append(f"{stem}.{kind}.dcm")
            refer_to_frames(built, ct.frames)
            path = folder / files[-1]
            with open_sealed(path) if sealed else path.open("wb") as file:
                built.save_as(file)
            if kind == "sr" and "fhir" in settings.outputs:
                from renalseg.output.fhir.report import to_fhir

                files.append(f"{stem}{fhir.SUFFIX}")
                (folder / files[-1]).write_text(to_fhir(built), encoding="utf-8")
    else:
        study, source = ct.name, ct.file
        stem, wanted = study, settings.of_volume(ct.suffix)
        files += write_probabilities(ct, maps, folder / stem)
    on_source, affine = to_source(ct, segmented)
    files += write_maps(on_source, segments, affine, wanted, folder / stem)
    files += write_meshes(on_source, segments, affine, wanted, folder / stem)
    pictures = []
    if settings.overlay is not None:
        from renalseg.report.overlay import Picture, save_overlay

        pictures.append(settings.overlay / f"{stem}.png")
        picture = Picture(ct, segmented, segments, said, note(settings))
        save_overlay(picture, pictures[0])
    result = StudyResult(
        study=study,
        series=source,
        finding=finding(segments),
        reason=judgment.reason,
        phase=judgment.phase,
        phases=findings.phases,
        review=judgment.review,
        segments=tuple(segments),
        files=tuple(files),
        pictures=tuple(pictures),
        slices=ct.slices,
        input_hash=ct.input_hash,
        supersedes=earlier.supersedes,
        warnings=warnings,
        comparison=findings.comparison,
        corrected=findings.correction,
        seconds={**timings, "write": time.perf_counter() - start},
    )
    if settings.report is not None:
        from renalseg.report.html.study import save_page

        run = {"version": __version__, **settings.choice.named_stages}
        page = settings.report / f"{stem}.html"
        save_page(ct, segmented, result.to_dict(), run, page)
        result = replace(result, pictures=(*result.pictures, page))
    return result


def _unanswered(ct: CT, findings: Findings) -> list[str]:
    """The warnings of the input, without those that say that a compared series was not used."""
    compared = [phase.series for phase in findings.phases if phase.reason is None]
    begins = tuple(f"series {series}{mark}" for series in compared for mark in " ,")
    return [warning for warning in ct.warnings if not warning.startswith(begins)]


def weak_bundles(choice: Choice) -> list[str]:
    """What to say of models that are to be read with caution: not measured, or known to fail.

    Their metadata say so: `caution` tells how a bundle fails, `eval_metrics` has the Dice. That of
    a tumor bundle depends on the bundles before it, so it counts only after those that it was
    measured after. A method that finds no tumors where there are some must not let "no tumor
    found" stand alone.
    """
    said = []
    references = choice.references
    before: dict[str, tuple[str, ...]] = {"localizer": ()}
    before |= {
        tumor: tuple(references[stage].name for stage in ("localizer", refiner) if stage)
        for refiner, tumor in choice.members
    }
    for stage, earlier in before.items():
        name = tumor_metric(earlier) if earlier else "kidney_dice_synthetic"
        bundle = references[stage].name
        if references[stage].kind:
            said.append(f"{bundle} is not of RenalSeg, which has not measured it: {_UNRELIABLE}")
            continue
        try:
            metadata = read_metadata(references[stage].folder)
        except ConfigError:
            continue  # the bundle itself says that it is broken, when it is loaded
        if caution := metadata.get("caution"):
            said.append(f"{bundle} {caution}")
        metrics = metadata.get("eval_metrics", {})
        structure = name.partition("_")[0]
        if metrics.get(name, 1.0) < LEAST_DICE:
            said.append(
                f"{bundle} reaches a {structure} Dice of {metrics[name]:.2f} on synthetic CTs: "
                f"{_UNRELIABLE}"
            )
        elif name not in metrics and any(other.startswith(TUMOR_METRIC) for other in metrics):
            said.append(f"{bundle} was not measured after {' and '.join(earlier)}: {_UNRELIABLE}")
    if choice.others:
        said.append(f"the ensemble {choice.algorithm} was not measured as one: {_UNRELIABLE}")
    return list(dict.fromkeys(said))


def file_stem(study: str, series: str) -> str:
    """Return the common stem of all files of a series.

    Args:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.

    Returns:
        The SeriesInstanceUID and a hash of the StudyInstanceUID, since two studies may share the
        former. The same UIDs give the same name in every run.

    Raises:
        InputError: One of them is no UID, and might lead to another folder.
    """
    for keyword, uid in (("StudyInstanceUID", study), ("SeriesInstanceUID", series)):
        if not is_uid(uid):
            raise InputError(f"{keyword} should be digits and dots, 64 at most, found other text")
    digest = hashlib.sha256(study.encode()).hexdigest()
    return f"{series}-{digest[:_DIGITS]}"

"""Write the measures as a structured report: TID 1500 of DICOM PS3.16, Comprehensive 3D SR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from renalseg.dicom.write.derived import LONG_STRING, PRODUCT, Origin, ascii_only, concept
from renalseg.dicom.write.sr_phases import PHASE, SCHEME, SCHEME_UID, phase_measurements
from renalseg.findings.followup.change import Change
from renalseg.findings.sentences import (
    NO_TUMOR,
    PHASES,
    USE,
    Correction,
    Kind,
    Statement,
    finding,
    missing_kidneys,
)
from renalseg.labels import (
    KIDNEY,
    KIDNEY_CODE,
    LABELS,
    LATERALITY,
    THIRDS,
    TUMOR,
    Confidence,
    ContrastPhase,
    MeasuredSegment,
    Side,
)
from renalseg.scores import QUANTITIES, Nephrometry

_Group = VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations
# Concepts that no public scheme has.
EXOPHYTIC = CodedConcept("EXOPHYTIC", SCHEME, "Share that lies outside of the kidney")
SIZE = CodedConcept("SIZE", SCHEME, "Size category")
# Of a segment that reaches the end of the scan: its volume and diameters are lower bounds.
EXTENT = CodedConcept("EXTENT", SCHEME, "Extent in the scan")
CUT = CodedConcept("CUT", SCHEME, "Cut off: volume and diameters are lower bounds")
IMAGE = CodedConcept("IMAGE", SCHEME, "Image that shows most of it")
IN_ONE_SLICE = CodedConcept("ONESLICE", SCHEME, "Within one axial slice")

PROBABILITY = CodedConcept("PROBABILITY", SCHEME, "Calibrated probability that it is real")
MEAN_OUTPUT = CodedConcept("MEANOUTPUT", SCHEME, "Mean output of the network, no probability")
PEAK_OUTPUT = CodedConcept("PEAKOUTPUT", SCHEME, "Highest output of the network, no probability")
AGREEMENT = CodedConcept("AGREEMENT", SCHEME, "Share that other networks call a lesion")

RENAL = CodedConcept("RENAL", SCHEME, "R.E.N.A.L. nephrometry score")
PADUA = CodedConcept("PADUA", SCHEME, "PADUA score")
C_INDEX = CodedConcept("CINDEX", SCHEME, "Centrality index")
NOT_ASSESSED = CodedConcept("NOTASSESSED", SCHEME, "Nephrometry not assessed")
_MEASURED = ("size", "exophytic")  # components that are measures of every lesion

_NAMES = {
    Kind.REVIEW: CodedConcept("REVIEW", SCHEME, "Reason for review"),
    Kind.WARNING: CodedConcept("WARNING", SCHEME, "Warning"),
    Kind.CORRECTED: CodedConcept("CORRECTED", SCHEME, "Corrected by a person"),
    Kind.COMPARISON: CodedConcept("COMPARISON", SCHEME, "Comparison with an earlier study"),
    Kind.CONCLUSION: codes.DCM.Conclusion,
}

PRESENCE = CodedConcept("705057003", "SCT", "Presence")
NOT_DETECTED = CodedConcept("260415000", "SCT", "Not detected")
_SHORT = 16  # characters that a DICOM SH value holds
MILLILITER = CodedConcept("ml", "UCUM", "ml")
DAY = CodedConcept("d", "UCUM", "day")
DOUBLING = CodedConcept("DOUBLING", SCHEME, "Volume doubling time")
_PER_YEAR = {unit: CodedConcept(f"{unit}/a", "UCUM", f"{unit}/year") for unit in ("mm", "ml")}


def build_sr(
    origin: Origin,
    segments: Sequence[MeasuredSegment],
    phase: ContrastPhase,
    said: Sequence[Statement],
    segmentation: Dataset | None,
    predecessors: Sequence[Dataset] = (),
    evidence: Sequence[Dataset] = (),
    changes: Mapping[int, Change] = MappingProxyType({}),
    correction: Correction | None = None,
) -> Comprehensive3DSR:
    """Build the report: a group of measures for each segment, and what was not found.

    Args:
        origin: The source series.
        segments: The findings; may be empty.
        phase: Contrast phase, as the pixels show it.
        said: The result's statements, the conclusion last.
        segmentation: The segmentation that holds the segments; None without segments.
        predecessors: The reports that this one supersedes, or of the study that it was compared
            with; of them the UIDs of class, study, series and instance are read.
        evidence: Objects of that study that were compared, likewise.
        changes: What changed since, by segment number.
        correction: What a person made of the findings; names who, if that is known.

    Returns:
        The report, ready for `save_as`; the same arguments give the same bytes.
    """
    groups: list[_Group] = []
    if segmentation is not None:
        groups.extend(
            _group(origin, segment, phase, segmentation, changes.get(segment.number))
            for segment in segments
        )
    groups += [_not_found(origin, KIDNEY, side) for side in missing_kidneys(segments)]
    if finding(segments) == NO_TUMOR:
        groups.append(_not_found(origin, TUMOR, None))
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_person_context=_person(correction), observer_device_context=_observer(origin)
        ),
        procedure_reported=_procedure(origin.header),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    report[0].ContentSequence.extend(_text(statement) for statement in said)
    # what it refers to is part of what it says
    others = (segmentation, *predecessors, *evidence)
    referred = [str(one.SOPInstanceUID) for one in others if one is not None]
    with disable_value_validation():
        document = Comprehensive3DSR(
            evidence=[
                *_sources(origin),
                *([] if segmentation is None else [segmentation]),
                *evidence,
            ],
            content=report,
            sop_instance_uid=origin.uid("SR", *referred),
            is_complete=True,
            is_verified=False,
            previous_versions=list(predecessors) or None,
            specific_character_set=None,
            coding_schemes=[
                CodingSchemeIdentificationItem(SCHEME, f"{PRODUCT} concepts", uid=SCHEME_UID)
            ],
            **origin.series_arguments("sr"),
        )
        origin.complete(document)
        document.CompletionFlagDescription = "Made by a program"
    return document


def _text(statement: Statement) -> TextContentItem:
    """Return a statement under a concept that separates warnings from the conclusion."""
    text = ascii_only(statement.text)
    if statement.kind == Kind.CONCLUSION:
        text = f"{text} {USE}"
    return TextContentItem(_NAMES[statement.kind], text, RelationshipTypeValues.CONTAINS)


def _group(
    origin: Origin,
    segment: MeasuredSegment,
    phase: ContrastPhase,
    segmentation: Dataset,
    change: Change | None,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    """Return the measurement group of a segment (TID 1411)."""
    info = LABELS[segment.kind]
    third = None if segment.third is None else concept(THIRDS[segment.third])
    tracking = origin.tracking(segment)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(tracking.uid, identifier=tracking.identifier),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=segment.number,
            source_series=SourceSeriesForSegmentation(origin.header.SeriesInstanceUID),
        ),
        finding_type=concept(info.type),
        finding_category=concept(info.category),
        algorithm_id=AlgorithmIdentification(f"{PRODUCT} {origin.algorithm}", origin.version),
        finding_sites=[FindingSite(concept(KIDNEY_CODE), concept(LATERALITY[segment.side]), third)],
        measurements=[
            *_measurements(segment),
            *phase_measurements(segment.enhancement),
            *_changes(change),
        ],
        qualitative_evaluations=_evaluations(segment, phase),
    )


def _evaluations(segment: MeasuredSegment, phase: ContrastPhase) -> list[QualitativeEvaluation]:
    """Return the qualitative evaluations of a segment: size, image and phase."""
    said = {SIZE: segment.size, IMAGE: segment.image, PHASE: PHASES[phase].rstrip(".")}
    own = {name: _own(text) for name, text in said.items() if text is not None}
    if (scores := segment.nephrometry) is not None:
        known = {RENAL: scores.renal, PADUA: scores.padua, NOT_ASSESSED: scores.reason}
        own |= {name: _own(text) for name, text in known.items() if text is not None}
    if segment.lower_bound:
        own[EXTENT] = CUT
    return [QualitativeEvaluation(name, value) for name, value in own.items()]


def _measurements(segment: MeasuredSegment) -> list[Measurement]:
    attenuation = codes.DCM.AttenuationCoefficient
    length, unit = codes.UCUM.Millimeter, codes.UCUM.HounsfieldUnit
    measured = [
        Measurement(codes.SCT.Volume, segment.volume_ml, MILLILITER),
        Measurement(codes.SCT.Diameter, segment.longest_mm, length, derivation=codes.SCT.Maximum),
        Measurement(codes.SCT.LongAxis, segment.longest_axial_mm, length, method=IN_ONE_SLICE),
        Measurement(attenuation, segment.mean_hu, unit, derivation=codes.SCT.Mean),
        Measurement(attenuation, segment.sd_hu, unit, derivation=codes.SCT.StandardDeviation),
    ]
    if segment.exophytic_percent is not None:
        measured.append(Measurement(EXOPHYTIC, segment.exophytic_percent, codes.UCUM.Percent))
    if segment.confidence is not None:
        measured += _confidence(segment.confidence)
    if segment.nephrometry is not None:
        measured += _nephrometry(segment.nephrometry)
    return measured


def _confidence(confidence: Confidence) -> list[Measurement]:
    """Return how sure the result is of a lesion, under private concepts."""
    none, percent = codes.UCUM.NoUnits, codes.UCUM.Percent
    values = (
        (PROBABILITY, confidence.probability, none),
        (MEAN_OUTPUT, confidence.mean_output, none),
        (PEAK_OUTPUT, confidence.peak_output, none),
        (AGREEMENT, confidence.agreement_percent, percent),
    )
    return [Measurement(name, value, unit) for name, value, unit in values if value is not None]


def _changes(change: Change | None) -> Iterator[Measurement]:
    """Give what changed since the earlier study, each beside its error, under private concepts."""
    if change is None:
        return
    length, year = codes.UCUM.Millimeter, "since the earlier study, a year"
    for code, unit, rate, measure in (
        ("DIAMETER", length, _PER_YEAR["mm"], change.longest_mm),
        ("VOLUME", MILLILITER, _PER_YEAR["ml"], change.volume_ml),
    ):
        name = code.capitalize()
        values = {
            ("CHANGE", "since the earlier study", unit): measure.change,
            ("ERROR", "since the earlier study may be off by", unit): measure.error,
            ("RATE", year, rate): measure.per_year,
        }
        for (what, meaning, of), value in values.items():
            if value is not None:
                concept = CodedConcept(f"{code}{what}", SCHEME, f"{name} change {meaning}")
                yield Measurement(concept, value, of)
    if change.doubling_days is not None:
        yield Measurement(DOUBLING, change.doubling_days, DAY)


def _nephrometry(scores: Nephrometry) -> list[Measurement]:
    """Return the measures of nephrometry and the points of each, under private concepts."""
    units = {"mm": codes.UCUM.Millimeter, "%": codes.UCUM.Percent}
    found = []
    for name, component in scores.components.items():
        quantity = QUANTITIES[name]
        if name not in _MEASURED:
            concept = CodedConcept(name.upper(), SCHEME, quantity.meaning)
            found.append(Measurement(concept, component.value, units[quantity.unit]))
        points = {
            f"RENAL{quantity.renal}": ("R.E.N.A.L.", quantity.renal, component.renal),
            f"PADUA{name.upper()}": ("PADUA", quantity.padua, component.padua),
        }
        found += [
            Measurement(
                CodedConcept(code, SCHEME, f"{score} points: {part}"), count, codes.UCUM.NoUnits
            )
            for code, (score, part, count) in points.items()
            if count is not None
        ]
    if scores.c_index is not None:
        found.append(Measurement(C_INDEX, scores.c_index, codes.UCUM.NoUnits))
    return found


def _not_found(
    origin: Origin, kind: int, side: Side | None
) -> MeasurementsAndQualitativeEvaluations:
    """Return the statement that something was not found (TID 1501)."""
    info = LABELS[kind]
    name = " ".join(part for part in (side and side.value, info.name) if part).capitalize()
    laterality = None if side is None else concept(LATERALITY[side])
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(origin.tracking_uid(name), identifier=name),
        finding_type=concept(info.type),
        finding_category=concept(info.category),
        algorithm_id=AlgorithmIdentification(f"{PRODUCT} {origin.algorithm}", origin.version),
        finding_sites=[FindingSite(concept(KIDNEY_CODE), laterality)],
        qualitative_evaluations=[QualitativeEvaluation(PRESENCE, NOT_DETECTED)],
    )


def _observer(origin: Origin) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=origin.device_uid,
            name=f"{PRODUCT} {origin.version}",
            manufacturer_name=PRODUCT,
            model_name=f"{PRODUCT} {origin.algorithm}",
            serial_number=origin.version,
        ),
    )


def _person(correction: Correction | None) -> ObserverContext | None:
    """Return who drew the outlines, where that is known."""
    if correction is None or correction.person is None:
        return None
    return ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=PersonObserverIdentifyingAttributes(correction.person),
    )


def _procedure(header: Dataset) -> CodedConcept:
    """The procedure by the source's own code, or a CT of any region where it has none."""
    for item in header.get("ProcedureCodeSequence") or []:
        value, scheme = item.get("CodeValue"), item.get("CodingSchemeDesignator")
        meaning = item.get("CodeMeaning")
        if value and scheme and meaning and len(value) <= _SHORT and len(meaning) <= LONG_STRING:
            return CodedConcept(str(value), str(scheme), str(meaning))
    return CodedConcept.from_code(codes.LN.CTUnspecifiedBodyRegion)


def _sources(origin: Origin) -> list[Dataset]:
    """The source slices as evidence; the first stands for the patient and the study."""
    others = []
    for header in origin.series.headers[1:]:
        other = Dataset()
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(other, keyword, header.get(keyword))
        others.append(other)
    return [origin.header, *others]


def _own(text: str) -> CodedConcept:
    """Return a private concept: its code is its meaning, short enough for an SH value."""
    return CodedConcept(text.upper().replace(" ", "")[:_SHORT], SCHEME, text)

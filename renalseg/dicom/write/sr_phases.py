"""Densities of a segment by contrast phase, and its enhancement, as measurements (TID 300).

DICOM lets a measurement have modifiers, but has no context group for the phases of a CT of the
kidneys, nor codes for their enhancement. Both are private; the density itself has DICOM's code.
"""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import CodeContentItem, CodedConcept, Measurement, RelationshipTypeValues
from pydicom.sr.codedict import codes

from renalseg.dicom.tags import derive_uid
from renalseg.labels import ContrastPhase, Enhancement

SCHEME = "99RENALSEG"
SCHEME_UID = derive_uid("coding scheme", SCHEME)
PHASE = CodedConcept("PHASE", SCHEME, "Contrast phase")
_MEANINGS = {
    ContrastPhase.NONCONTRAST: "Non-contrast",
    ContrastPhase.CORTICOMEDULLARY: "Corticomedullary phase",
    ContrastPhase.NEPHROGRAPHIC: "Nephrographic phase",
    ContrastPhase.EXCRETORY: "Excretory phase",
}
_HU, _PERCENT = codes.UCUM.HounsfieldUnit, codes.UCUM.Percent
# By the attribute of `Enhancement`.
_MEASURES = {
    "absolute_hu": ("ENHANCEMENT", "Rise from non-contrast to the brightest phase", _HU),
    "relative_percent": ("RELATIVE", "Rise as a share of the non-contrast value", _PERCENT),
    "washout_percent": ("WASHOUT", "Share of the rise that is gone in the last phase", _PERCENT),
    "fat_percent": ("FAT", "Share of macroscopic fat, non-contrast", _PERCENT),
    "calcified_percent": ("CALCIFIED", "Share that is calcified, non-contrast", _PERCENT),
    "fluid_percent": ("FLUID", "Share as thin as fluid in all phases", _PERCENT),
}


def phase_measurements(enhancement: Enhancement | None) -> Iterator[Measurement]:
    """Gives mean and standard deviation in each phase, and what follows from them.

    Args:
        enhancement: Of a segment; None gives nothing.
    """
    if enhancement is None:
        return
    for value in enhancement.values:
        for hu, derivation in (
            (value.mean_hu, codes.SCT.Mean),
            (value.sd_hu, codes.SCT.StandardDeviation),
        ):
            density = Measurement(codes.DCM.AttenuationCoefficient, hu, _HU, derivation=derivation)
            density[0].ContentSequence.append(_modifier(value.phase))
            yield density
    for name, (code, meaning, unit) in _MEASURES.items():
        number = getattr(enhancement, name)
        if number is not None:
            yield Measurement(CodedConcept(code, SCHEME, meaning), number, unit)


def _modifier(phase: ContrastPhase) -> CodeContentItem:
    concept = CodedConcept(phase.upper(), SCHEME, _MEANINGS[phase])
    return CodeContentItem(PHASE, concept, RelationshipTypeValues.HAS_CONCEPT_MOD)

"""Attributes shared by all derived objects: patient, study, equipment, UIDs, dates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from highdicom import ContributingEquipment
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID
from pydicom.valuerep import DA, DT, TM

from renalseg.dicom.read.series import CTSeries
from renalseg.dicom.tags import derive_uid
from renalseg.dicom.write.source import acquisition_time, complete_headers
from renalseg.findings.sentences import Statement
from renalseg.labels import Code, Segment, Tracking

PRODUCT = "RenalSeg"
LONG_TEXT = 10240  # of an LT value
SHORT_TEXT = 1024  # of an ST value
LONG_STRING = 64  # characters that a DICOM LO value holds
# highdicom logs or warns of names that it finds odd, and refuses rare character sets: objects are
# built without these and get them afterwards.
_NAMES = ("PatientName", "ReferringPhysicianName")
SERIES_NUMBERS = {
    **{"seg": 900, "sr": 901, "pdf": 902, "sc": 903, "labelmap": 904, "rtstruct": 905},
    "probability": 906,
}


@dataclass(frozen=True, eq=False)
class Origin:
    """Origin of a derived object.

    Attributes:
        series: The source series.
        algorithm: Name of the method, such as "sehdc".
        version: Version of RenalSeg.
        networks: The method's networks, each with the fingerprint of its weights.
        content: Hash of what was found, see `content_hash`.
    """

    series: CTSeries
    algorithm: str
    version: str
    networks: tuple[str, ...] = ()
    content: str = ""

    def uid(self, *purpose: str) -> UID:
        """Derive a UID from input, software, method, content and purpose."""
        return derive_uid(self.series.input_hash, *self._software, self.content, *purpose)

    def tracking_uid(self, label: str) -> UID:
        """Return the UID that SEG and SR share for a structure."""
        return self.uid(f"tracking {label}")

    def tracking(self, segment: Segment) -> Tracking:
        """Return what SEG and SR call a segment: as an earlier study did, if it was in one."""
        return segment.tracking or Tracking(self.tracking_uid(segment.label), segment.label)

    @property
    def device_uid(self) -> UID:
        """Return the UID of the program as an observer: this version with these networks."""
        return derive_uid("device", PRODUCT, *self._software)

    @property
    def _software(self) -> tuple[str, ...]:
        return self.version, self.algorithm, *self.networks

    @cached_property
    def created(self) -> datetime:
        """Return date and time of the content: the source's, so that a rerun gives the same."""
        return acquisition_time(self.series.headers[0])

    @cached_property
    def header(self) -> Dataset:
        """The first header, completed, without names and character set."""
        return without_names(complete_headers(self.series.headers[:1])[0])

    def series_arguments(self, kind: str) -> dict[str, Any]:
        """Return highdicom's arguments for a new series of one instance.

        Args:
            kind: A key of `SERIES_NUMBERS`.
        """
        return {
            "series_instance_uid": self.uid(f"{kind.upper()} series"),
            "series_number": SERIES_NUMBERS[kind],
            "instance_number": 1,
            "manufacturer": PRODUCT,
            "manufacturer_model_name": PRODUCT,
            "software_versions": (self.version, *self.networks),
            "device_serial_number": self.version,
            "series_description": f"{PRODUCT} {self.version} {self.algorithm}"[: LONG_STRING - 15]
            + " (research use)",
        }

    def study_arguments(self) -> dict[str, Any]:
        """Return highdicom's arguments for patient and study."""
        header = self.header
        return {
            "study_instance_uid": header.StudyInstanceUID,
            "patient_id": header.PatientID,
            "patient_name": header.PatientName,
            "patient_birth_date": header.PatientBirthDate,
            "patient_sex": header.PatientSex,
            "accession_number": header.AccessionNumber,
            "study_id": header.StudyID,
            "study_date": header.StudyDate,
            "study_time": header.StudyTime,
            "referring_physician_name": header.ReferringPhysicianName,
        }

    def complete(self, dataset: Dataset, created: datetime | None = None) -> None:
        """Set names, character set, dates and the program of a built object, in place.

        Args:
            dataset: The object.
            created: Date and time of its content, by default those of the source.
        """
        created = created or self.created
        source = complete_headers(self.series.headers[:1])[0]
        if source.get("SpecificCharacterSet"):
            dataset.SpecificCharacterSet = source.SpecificCharacterSet
        if source.get("LongitudinalTemporalInformationModified"):  # whether dates can be compared
            dataset.LongitudinalTemporalInformationModified = (
                source.LongitudinalTemporalInformationModified
            )
        for keyword in _NAMES:
            # highdicom lets objects share their elements with `header`, which has to stay nameless
            dataset.pop(keyword, None)
            setattr(dataset, keyword, source.get(keyword))
        for kind in ("InstanceCreation", "Series", "Content"):
            setattr(dataset, f"{kind}Date", DA(created.date()))
            setattr(dataset, f"{kind}Time", TM(created.time()))
        equipment = [self._equipment(), *dataset.get("ContributingEquipmentSequence", [])]
        # the last item may be the library's note about itself
        for item in equipment[:1] + equipment[-1:]:
            item.ContributionDateTime = DT(created)
        dataset.ContributingEquipmentSequence = equipment

    def _equipment(self) -> ContributingEquipment:
        """Name the algorithm as equipment, with a UID, as IHE's profile AI Results asks."""
        item = ContributingEquipment(
            PRODUCT,
            codes.DCM.ProcessingEquipment,
            manufacturer_model_name=f"{PRODUCT} {self.algorithm}"[:LONG_STRING],
            software_versions=(self.version, *self.networks),
        )
        item.DeviceUID = self.device_uid
        return item


def content_hash(segmented: npt.NDArray[np.uint8], texts: Sequence[str] = ()) -> str:
    """Hash the content of objects, so that one UID never stands for two contents.

    Args:
        segmented: Segment numbers (X, Y, Z).
        texts: Other findings.
    """
    digest = hashlib.sha256(np.ascontiguousarray(segmented.T).data)  # its order in memory: no copy
    digest.update(json.dumps([segmented.shape, *texts]).encode())
    return digest.hexdigest()


def say(image: Dataset, said: Sequence[Statement]) -> None:
    """Write the result's statements into an image, in place, for viewers that show nothing else.

    Args:
        image: Gets ImageComments (0020,4000), which DICOM PS3.3 C.7.6.1 gives to every image.
        said: The statements; the last, the conclusion, is there in any case.
    """
    image.ImageComments = said_within(LONG_TEXT, said)


def said_within(length: int, said: Sequence[Statement]) -> str:
    """Join statements as far as they fit into a text; the last, the conclusion, always does."""
    *others, conclusion = (ascii_only(f"{kind}: {text}") for kind, text in said)
    room = length - len(conclusion) - 100
    kept = [text for n, text in enumerate(others) if sum(map(len, others[: n + 1])) + 2 * n < room]
    if len(kept) < len(others):
        kept.append(f"Further warnings in the structured report: {len(others) - len(kept)}")
    return "\r\n".join((*kept, conclusion))


def concept(code: Code) -> CodedConcept:
    """Give a coded concept of the table of labels as an item of a dataset."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def reference(header: Dataset) -> Dataset:
    """Refer to a source slice by its header."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def ascii_only(text: str) -> str:
    """Escape characters that the source's character set may lack; results are in English."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def without_names(header: Dataset) -> Dataset:
    """Remove person names and the character set from a header, in place, and return it."""
    for keyword in _NAMES:
        setattr(header, keyword, "")
    header.pop("SpecificCharacterSet", None)
    return header

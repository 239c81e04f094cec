"""Checks that the files of a folder belong to one patient."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from renalseg.dicom.tags import Instance
from renalseg.errors import InputError


class Person(NamedTuple):
    """The patient that a header names; never printed.

    Attributes:
        id: PatientID, "" if it is missing.
        name: The words of PatientName, without accents and in small letters.
        birth: PatientBirthDate, "" if it is missing.
    """

    id: str
    name: frozenset[str]
    birth: str


def person_of(path: Path, header: Dataset) -> Person:
    """Return the patient that a header names."""
    instance = Instance(path, header)
    # The first of up to three spellings (PS3.5, 6.2.1.2), without empty components.
    name = instance.optional("PatientName").split("=")[0]
    plain = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    words = frozenset(letters.replace("^", " ").replace(",", " ").split())
    return Person(instance.optional("PatientID"), words, instance.optional("PatientBirthDate"))


def check_one_patient(folder: Path, people: Iterable[Person]) -> None:
    """Refuse a folder that holds several patients.

    Different values of PatientID always prove two patients. Files without one may be stripped
    copies; then contradicting names or birth dates prove two patients as well. Under a single ID
    both must contradict: hospitals number their patients independently.

    Raises:
        InputError: If it holds several; the message names no value.
    """
    known = set(people)
    ids = {person.id for person in known} - {""}
    if len(ids) > 1:
        raise InputError(
            f"expected one patient, found {len(ids)} different PatientID values in {folder}"
        )
    names = _contradict(known)
    births = len({person.birth for person in known} - {""}) > 1
    stripped = any(not person.id for person in known)
    if (names and births) or (stripped and (names or births)):
        said = [text for text, differ in (("names", names), ("birth dates", births)) if differ]
        why = "no PatientID in some files, and " if stripped else ""
        raise InputError(
            f"expected one patient, found {why}different {' and '.join(said)} in {folder}; "
            "give the files of one patient"
        )


def _contradict(people: Iterable[Person]) -> bool:
    """Whether two names differ by more than a part that one of them lacks."""
    names = sorted({person.name for person in people if person.name}, key=len)
    return any(not short <= long for i, short in enumerate(names) for long in names[i + 1 :])

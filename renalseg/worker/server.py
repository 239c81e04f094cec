"""What the worker needs of an archive: what is new in it, fetch, store.

`renalseg.worker.orthanc` has it by Orthanc's REST interface, and `renalseg.worker.dicomweb` by
DICOMweb.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

AT_ONCE = 4
"""Parallel requests: most of their time is waiting."""


@dataclass(frozen=True)
class Instance:
    """One file of a series.

    Attributes:
        id: The server's name for it.
        uid: SOPInstanceUID.
        size: In bytes.
        md5: Empty if the server does not say.
    """

    id: str
    uid: str
    size: int
    md5: str


@dataclass(frozen=True)
class Study:
    """A study as the server knows it.

    Attributes:
        uid: StudyInstanceUID.
        date: StudyDate; empty if it has none.
    """

    uid: str
    date: str


class Server(Protocol):
    """An archive: fetch and store.

    Every method raises UnreachableError if it does not answer, AnswerError if the answer is an
    error or of another form than documented, and ConfigError if it refuses the credentials.

    Attributes:
        name: Of its kind, for messages.
    """

    name: str

    def check(self) -> str:
        """Returns what the server says of itself."""

    def instances(self, series: str) -> list[Instance]:
        """The files of a series, in order of their UIDs."""

    def patient(self, series: str) -> tuple[str, ...]:
        """Name and ID of the patient, used only to keep them out of messages."""

    def studies_of_patient(self, series: str) -> list[Study]:
        """The studies of the patient of a series; none where the patient has no ID."""

    def instance(self, result: str) -> Instance:
        """A file that was stored, by the name that `store` returned.

        Raises:
            GoneError: It was deleted.
        """

    def fetch(self, instance: Instance, path: Path) -> None:
        """Writes a file.

        Raises:
            GoneError: It was deleted.
            AnswerError: The file did not arrive as the server has it.
            OSError: It cannot be written.
        """

    def store(self, path: Path) -> str:
        """Stores a DICOM file and returns the server's name for it; an existing one stays.

        Raises:
            AnswerError: The server rejects it.
        """

    def forward(self, target: str, results: Sequence[str]) -> None:
        """Makes the server send results on.

        Args:
            target: The server's name for where they go.
            results: Names that `store` returned.

        Raises:
            GoneError: The server does not know the target, or lacks a result.
            AnswerError: The target rejects them.
        """

    def delete(self, result: str, manufacturer: str) -> bool:
        """Deletes an object if it is from a manufacturer; returns whether it did."""


class Feed(Protocol):
    """What is new: makes jobs of the series of a server that arrived and are complete.

    Attributes:
        go_on: Called between parts of the news, each noted as read; False ends the call early.
    """

    go_on: Callable[[], bool]

    def poll(self) -> list[int]:
        """Reads everything new.

        Returns:
            Numbers of the new jobs.

        Raises:
            RenalSegError: The server does not answer; the next call continues there.
        """


def fetch_all(server: Server, instances: Sequence[Instance], folder: Path) -> Generator[None]:
    """Writes files to a folder, several at once, and yields after each; may be left early.

    Raises:
        GoneError: One was deleted.
        AnswerError: A file did not arrive as the server has it.
        OSError: One cannot be written.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        files = [
            pool.submit(server.fetch, instance, folder / f"{number:05d}.dcm")
            for number, instance in enumerate(instances)
        ]
        try:
            for file in files:
                file.result()
                yield
        finally:
            for file in files:
                file.cancel()

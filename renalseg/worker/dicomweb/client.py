"""Client of a DICOMweb server: QIDO-RS to search, WADO-RS to fetch, STOW-RS to store."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError
from renalseg.runtime.privacy import hide_header_values
from renalseg.worker.http import AGAIN, SECONDS, Access, AnswerError, FormError, UnreachableError
from renalseg.worker.server import Instance, Study

PACKAGE = "dicomweb_client"
_PAGE = 500  # results of a search that are requested at once
_AS_STORED = (("application/dicom", "*"),)
_AT_ONCE = 1 << 31  # bytes of a request; more would go in chunks, which cannot be repeated
# By which results of searches are read; servers add others.
_TAGS = {
    "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E", "SOPInstanceUID": "00080018",
    "PatientName": "00100010", "PatientID": "00100020", "StudyDate": "00080020",
    "NumberOfStudyRelatedInstances": "00201208", "NumberOfSeriesRelatedInstances": "00201209",
}  # fmt: skip
_RULED_BY = ("Modality", "Manufacturer", "SeriesNumber", "SeriesDescription", "BodyPartExamined")


class DicomWeb:
    """A DICOMweb server. Names of what it has are UIDs: ``study/series/instance``.

    Every method raises what `renalseg.worker.server.Server` says.

    Args:
        access: To it.

    Raises:
        ConfigError: dicomweb-client is not installed.
    """

    name = "DICOMweb"

    def __init__(self, access: Access) -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise ConfigError(
                "Expected the package dicomweb-client for --dicomweb, found none: "
                "pip install 'renalseg[dicomweb]'"
            )
        import requests
        from dicomweb_client import DICOMwebClient

        hide_header_values()
        session = requests.Session()
        session.trust_env = False  # credentials and certificates come from `access` alone
        session.max_redirects = 0  # they would take the password along
        session.headers.update(access.headers)
        session.verify = access.ca or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=AGAIN, pool_maxsize=16))
        seconds = (SECONDS.connect_timeout, SECONDS.read_timeout)
        self.access = access
        self._client = DICOMwebClient(
            access.url, session=session, chunk_size=_AT_ONCE, timeout=seconds
        )
        self._client.set_http_retry_params(retry=False)  # the session's retries do

    def check(self) -> str:
        """The address, after a search that finds at most one study."""
        with self._asking("GET /studies"):
            self._client.search_for_studies(limit=1)
        return self.access.url

    def studies(self, since: str) -> Iterator[dict[str, str]]:
        """Studies with CT from a day on, as ``YYYYMMDD``, by the values that the server says."""
        filters = {"StudyDate": f"{since}-", "ModalitiesInStudy": "CT"}
        return self._search("StudyInstanceUID", search_filters=filters)

    def series(self, study: str) -> Iterator[dict[str, str]]:
        """The CT series of a study."""
        return self._search("SeriesInstanceUID", study, search_filters={"Modality": "CT"})

    def instances(self, series: str) -> list[Instance]:
        """The files of a series, in order of their UIDs; DICOMweb tells neither size nor sum."""
        uids = [found["SOPInstanceUID"] for found in self._search("SOPInstanceUID", series)]
        return [Instance(f"{series}/{uid}", uid, 0, "") for uid in sorted(uids)]

    def sample(self, instance: Instance) -> tuple[dict[str, str], int]:
        """What rules look at, of a file's header, and the size of the file in bytes.

        Searches need not return these values.
        """
        dataset, file = self._retrieve(instance), io.BytesIO()
        with self._asking(f"GET {instance.id}"):
            dataset.save_as(file, enforce_file_format=True)
            return {name: str(dataset.get(name, "")) for name in _RULED_BY}, file.tell()

    def patient(self, series: str) -> tuple[str, ...]:
        """Name and ID of the patient, used only to keep them out of messages."""
        found = self._study(series)
        return tuple(found.get(keyword, "") for keyword in ("PatientName", "PatientID"))

    def studies_of_patient(self, series: str) -> list[Study]:
        """The studies of the patient of a series; none where the patient has no ID."""
        known = self._study(series).get("PatientID", "").strip()
        if not known:
            return []
        found = self._search("StudyInstanceUID", search_filters={"PatientID": known})
        return [
            Study(item["StudyInstanceUID"], item.get("StudyDate", "").strip())
            for item in found
            if item.get("PatientID", "").strip() == known  # a server may take it for a pattern
        ]

    def instance(self, result: str) -> Instance:
        """A file that was stored, by the UIDs that `store` returned."""
        return Instance(result, result.rpartition("/")[2], 0, "")

    def fetch(self, instance: Instance, path: Path) -> None:
        """Writes a file, as the server stored it."""
        dataset = self._retrieve(instance)
        if dataset.get("SOPInstanceUID") != instance.uid:
            raise AnswerError(f"Expected {instance.uid}, got another instance")
        with path.open("wb") as file, self._asking(f"GET {instance.id}"):
            dataset.save_as(file, enforce_file_format=True)

    def store(self, path: Path) -> str:
        """Stores a DICOM file and returns its UIDs; an existing one stays.

        Servers refuse what they have already in different ways, so they are asked for it.
        """
        from pydicom import dcmread

        dataset = dcmread(path)
        uid = str(dataset.SOPInstanceUID)
        series = f"{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}"
        stored, refused = set(), None
        try:
            with self._asking("POST /studies"):
                answer = self._client.store_instances([dataset])
                stored = {item.ReferencedSOPInstanceUID
                          for item in answer.get("ReferencedSOPSequence", ())}  # fmt: skip
        except AnswerError as error:
            refused = error
        if uid not in stored and not self._has(series, uid):
            raise AnswerError(f"{self.name} did not store {path.name}") from refused
        return f"{series}/{uid}"

    def forward(self, target: str, results: Sequence[str]) -> None:
        """Is not part of DICOMweb: the archive's own rules send results on."""
        raise ConfigError(f"Expected no --forward with --dicomweb, got {target}")

    def delete(self, result: str, manufacturer: str) -> bool:
        """Is not part of DICOMweb."""
        raise ConfigError("Expected no --delete-superseded with --dicomweb")

    def _study(self, series: str) -> dict[str, str]:
        filters = {"StudyInstanceUID": series.partition("/")[0]}
        return next(self._search("StudyInstanceUID", search_filters=filters), {})

    def _has(self, series: str, uid: str) -> bool:
        found = self._search("SOPInstanceUID", series, search_filters={"SOPInstanceUID": uid})
        return any(item["SOPInstanceUID"] == uid for item in found)

    def _search(self, by: str, within: str = "", **filters: Any) -> Iterator[dict[str, str]]:
        """All results of a search, however few the server gives at once.

        Args:
            by: Keyword of the UID that each result has, which says what is searched for.
            within: UIDs of the study, or of study and series.
            filters: For the client.
        """
        searches: dict[str, Callable[..., Any]] = {
            "StudyInstanceUID": self._client.search_for_studies,
            "SeriesInstanceUID": self._client.search_for_series,
            "SOPInstanceUID": self._client.search_for_instances,
        }
        seen: set[str] = set()
        while True:
            with self._asking(f"GET {by} of {within or 'all'}"):
                page = searches[by](
                    *filter(None, within.split("/")),
                    limit=_PAGE, offset=len(seen), fields=list(_TAGS), **filters,
                )  # fmt: skip
                found = {item[by]: item for item in map(_values, page)}
            new = found.keys() - seen  # servers that ignore `offset` repeat what was there
            yield from (item for uid, item in found.items() if uid in new)
            seen |= new
            if not new:
                return

    def _retrieve(self, instance: Instance) -> Any:
        study, series, uid = instance.id.split("/")
        with self._asking(f"GET {instance.id}"):
            return self._client.retrieve_instance(study, series, uid, media_types=_AS_STORED)

    @contextmanager
    def _asking(self, request: str) -> Iterator[None]:
        """Turns what goes wrong into the worker's errors, which quote no header.

        The errors of the client do, and the addresses in them hold the ID of a patient: no chain
        leads to them.
        """
        import requests

        try:
            yield
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            raise self.access.error(self.name, request, status) from None
        except requests.TooManyRedirects:
            raise AnswerError(f"{self.name} redirects {request}") from None
        except requests.JSONDecodeError:
            raise FormError(f"Expected JSON for {request}, found other text") from None
        except requests.RequestException as error:
            cause = getattr(next(iter(error.args), None), "reason", type(error).__name__)
            raise UnreachableError(
                f"{self.name} at {self.access.url} does not answer: {cause}"
            ) from None
        except (OSError, AnswerError):
            raise
        except Exception as error:  # of the client or of pydicom, about an answer
            raise FormError(
                f"Expected what DICOM PS3.18 defines for {request}, found another form "
                f"({type(error).__name__})"
            ) from None


def _values(entry: Mapping[str, Any]) -> dict[str, str]:
    """The first value of each attribute of a DICOM JSON object (PS3.18 annex F), by keyword."""
    found = {}
    for keyword, tag in _TAGS.items():
        value = next(iter(entry.get(tag, {}).get("Value") or ()), None)
        if isinstance(value, Mapping):  # a name in up to three scripts
            value = " ".join(map(str, value.values()))
        if value is not None:
            found[keyword] = str(value)
    return found

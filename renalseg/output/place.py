"""Where the results of a run go: all of them at once, in place of what an earlier run left."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from renalseg.dicom.read.series import CTSeries
from renalseg.findings.findings import Findings
from renalseg.intake.ct import CT
from renalseg.output.earlier import files_of, find_earlier, refuse_others
from renalseg.output.folder import complete_or_nothing
from renalseg.output.study import StudyResult, write_study
from renalseg.settings import Settings


@dataclass(frozen=True)
class Place:
    """A hidden folder that becomes the output when all studies are done.

    Attributes:
        folder: The hidden folder.
        out_dir: The output folder, with what an earlier run left.
        studies: StudyInstanceUIDs of what the new result says, or names of volumes, whether it has
            files or not.
    """

    folder: Path
    out_dir: Path
    studies: set[str] = field(default_factory=set)

    def claim(self, studies: Collection[str]) -> None:
        """Says of which studies the new result is, before any of them is worked on.

        Raises:
            InputError: The output folder holds a result of another study.
        """
        refuse_others(self.out_dir, studies)
        self.studies.update(studies)

    def write(
        self,
        ct: CT,
        findings: Findings,
        settings: Settings,
        timings: Mapping[str, float],
    ) -> StudyResult:
        """Writes the files of a study; see `write_study`."""
        earlier = find_earlier(self.out_dir, ct) if isinstance(ct, CTSeries) else None
        study = write_study(
            ct, findings, self.folder, settings, timings, earlier=earlier, sealed=True
        )
        self.studies.add(study.study)
        return study


@contextmanager
def all_at_once(out_dir: Path | None) -> Iterator[Place]:
    """Gives a place to write to; its files reach the output folder if nothing fails.

    Args:
        out_dir: Made if it is not there; keeps no file of an earlier result of the same studies, so
            that all that is there is listed. None if nothing is to be kept.

    Raises:
        OSError: The files cannot be written; `out_dir` is then as it was.
    """
    studies: set[str] = set()
    if out_dir is None:
        with TemporaryDirectory(prefix="renalseg-") as temporary:
            yield Place(Path(temporary), Path(temporary), studies)
        return
    with complete_or_nothing(out_dir, stale=partial(files_of, out_dir, studies)) as folder:
        yield Place(folder, out_dir, studies)

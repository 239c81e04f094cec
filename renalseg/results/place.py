"""Where the results of a run go: all of them at once, in place of what an earlier run left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from monai.data import MetaTensor

from renalseg.dicom.read import CTSeries
from renalseg.results.earlier import Earlier, find_earlier, remove_stale
from renalseg.results.output import complete_or_nothing
from renalseg.results.study import StudyResult, write_study
from renalseg.settings import Settings


@dataclass(frozen=True)
class Place:
    """A hidden folder that becomes the output when all studies are done.

    Attributes:
        folder: The hidden folder.
        out_dir: The output folder, with what an earlier run left.
        replaced: What that left of each series, with the names of the new files.
    """

    folder: Path
    out_dir: Path
    replaced: list[tuple[Earlier, set[str]]] = field(default_factory=list)

    def write(
        self,
        series: CTSeries,
        pred: MetaTensor,
        settings: Settings,
        timings: Mapping[str, float],
    ) -> StudyResult:
        """Writes the files of a study; see `write_study`."""
        earlier = find_earlier(self.out_dir, series)
        study = write_study(series, pred, self.folder, settings, timings, earlier=earlier)
        self.replaced.append((earlier, set(study.files)))
        return study


@contextmanager
def all_at_once(out_dir: Path) -> Iterator[Place]:
    """Gives a place to write to; its files reach the output folder if nothing fails.

    Args:
        out_dir: Made if it is not there; keeps no file of an earlier result that is replaced.

    Raises:
        OSError: The files cannot be written; `out_dir` is then as it was.
    """
    with complete_or_nothing(out_dir) as folder:
        place = Place(folder, out_dir)
        yield place
    for earlier, written in place.replaced:
        remove_stale(out_dir, earlier, written)

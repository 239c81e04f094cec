"""Read the CT series of a folder as a volume in HU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from monai.utils import SpaceKeys
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.gaps import Gap, find_missing
from renalseg.dicom.read.outcome import FolderOutcome, StudyOutcome
from renalseg.dicom.read.packed import unpacked
from renalseg.dicom.read.pixels import Correction, PixelReader, fingerprint, write_hu
from renalseg.dicom.read.plan import Candidate
from renalseg.dicom.read.planes import SourcePlanes
from renalseg.dicom.read.scan import found, scan_folder
from renalseg.dicom.read.slice_grid import OrderedSlices
from renalseg.dicom.tags import SourceFrame
from renalseg.errors import InputError, RetryableError, some_of
from renalseg.volumes.hounsfield import AIR_HU
from renalseg.volumes.size_limits import check_free

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class CTSeries:
    """A CT series in memory.

    Attributes:
        image: HU (1, X, Y, Z) float32 with a float64 voxel-to-world affine in RAS mm. It is a view
            of memory laid out slice by slice, (Z, Y, X), so it is not contiguous.
        headers: What objects that derive from it need of each slice, in Z order, checked and as
            measured (`renalseg.dicom.write.source`). Read only.
        input_hash: SHA-256 over the SOP Instance UIDs and stored pixels, independent of file names
            and compression.
        warnings: What is unusual about the input but was processed, for people.
        skipped: Number of files that are not part of the series, by what they are.
        planes: Where the slices lie in `image`, whose grid is regular even where they are not.
        frames: What the slices are frames of, by their SOPInstanceUID; empty where each is a file.
            An object that was derived from them needs `renalseg.dicom.write.references`.
        gaps: Where slices are missing, if that is allowed; the image is interpolated there.
    """

    image: MetaTensor
    headers: tuple[Dataset, ...]
    input_hash: str
    warnings: tuple[str, ...]
    skipped: Mapping[str, int]
    planes: SourcePlanes
    frames: Mapping[str, SourceFrame] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()

    @property
    def body_part(self) -> str:
        """BodyPartExamined of the source; empty if it has none."""
        return str(self.headers[0].get("BodyPartExamined") or "")

    @property
    def slices(self) -> int:
        """Number of source slices."""
        return len(self.headers)

    def to_slices(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Bring a label map from the grid of the image to the source slices.

        Args:
            labels: (X, Y, Z) on the grid of `image`.

        Returns:
            (columns, rows, S), one plane for each of `headers`; `labels` itself where the slices
            are the grid, as they are unless the gantry was tilted or the spacing is uneven.

        Raises:
            ValueError: If `labels` has another shape than the grid.
        """
        return self.planes.to_slices(labels)


@damage_refused("the series cannot be read")
def read_series(
    folder: Path, *, progress: Progress | None = None, wanted: str | None = None
) -> CTSeries:
    """Read the CT series that suits best among those in a folder, at any depth.

    Args:
        folder: Folder with the files of one patient and one study, one file, or an archive of them.
        progress: Called after each slice with the number of slices loaded and their total.
        wanted: The only series to read, see `renalseg.dicom.read.wanted.find_wanted`.

    Returns:
        The series.

    Raises:
        InputError: If the folder holds no CT series, several studies, or none that can be processed
            safely; the message says what was expected, what was found, and where.
        RetryableError: If memory ran out.
    """
    with unpacked(folder) as place:
        return _read_series(place, progress, wanted)


def _read_series(folder: Path, progress: Progress | None, wanted: str | None) -> CTSeries:
    plan = make_plan(scan_folder(folder), wanted=wanted)
    if not plan.studies:
        kinds = found((*plan.scan.skipped, *plan.scan.refused))
        raise InputError(f"expected a CT series, found none in {folder} ({kinds})")
    if len(plan.studies) > 1:
        uids = some_of((study.study for study in plan.studies), joint=", ")
        raise InputError(f"expected one study, found {len(plan.studies)}: {uids}")
    outcome = FolderOutcome(plan)
    (study,) = outcome.studies
    try:
        series = read_best(study, progress=progress)
    except InputError as error:
        raise InputError(" ".join((str(error), *plan.warnings))) from error
    skipped = {reason: len(paths) for reason, paths in outcome.left.files().skipped.items()}
    return replace(series, warnings=(*series.warnings, *plan.warnings), skipped=skipped)


@damage_refused("the series cannot be read")
def read_best(study: StudyOutcome, *, progress: Progress | None = None) -> CTSeries:
    """Read what suits best of a study; where its pixels turn out damaged, the next best.

    Args:
        study: What is read; loses the candidates that turn out damaged.
        progress: Called after each slice with the number of slices loaded and their total.

    Raises:
        InputError: If no candidate can be processed.
        RetryableError: If memory ran out.
    """
    while (best := study.left.best) is not None:
        try:
            series = load(best, progress=progress)
        except InputError as error:
            study.reject(best, str(error))
        else:
            return replace(series, warnings=(*study.left.remarks(), *series.warnings))
    raise InputError(study.left.reason)


def load(candidate: Candidate, *, progress: Progress | None = None) -> CTSeries:
    """Read the pixels of a candidate.

    Geometry comes from ImagePositionPatient, ImageOrientationPatient and PixelSpacing alone, HU
    from each slice's own rescale. Files are only read. Memory: the float32 volume, the headers and
    one slice.

    Args:
        candidate: A stack of slices with its grid.
        progress: Called after each slice with the number of slices loaded and their total.

    Raises:
        InputError: If the pixels are missing, truncated or not decodable.
        RetryableError: If memory ran out.
    """
    # Validation messages of pydicom quote values, which may name a patient.
    with disable_value_validation():
        candidate = candidate.examined()
        grid, source = candidate.grid, candidate.source
        if grid is None or source is None:
            raise InputError(f"{candidate.name}: {candidate.reason}")
        check_free(grid.shape)
        volume, input_hash = _load(grid, source.correction, progress)
        warnings = candidate.warnings()

    # (Z, Y, X) in memory, seen as (1, X, Y, Z): slices are written whole and nothing is copied.
    image = MetaTensor(
        torch.from_numpy(volume).permute(2, 1, 0)[None],
        affine=torch.from_numpy(grid.affine),
        meta={"space": SpaceKeys.RAS},
    )
    gaps = find_missing(grid)
    warnings = (*warnings, *(f"missing slices: {gap}, filled by interpolation" for gap in gaps))
    frames = {each.uid: each.source for each in grid.instances if each.source is not None}
    return CTSeries(image, source.headers, input_hash, warnings, {}, grid.planes, frames, gaps)


def _load(
    grid: OrderedSlices, correction: Correction, progress: Progress | None
) -> tuple[npt.NDArray[np.float32], str]:
    """Decode all slices into one array (Z, Y, X) in HU on the grid, and hash them."""
    total = len(grid.instances)
    try:
        volume = np.empty(grid.shape[::-1], dtype=np.float32)
    except MemoryError as exc:
        raise RetryableError(
            f"out of memory: {total} slices need {4 * np.prod(grid.shape):,} bytes"
        ) from exc
    prints: dict[str, str] = {}

    def write(index: int, out: npt.NDArray[np.float32]) -> None:
        instance = grid.instances[index]
        stored = reader.decode(instance)
        write_hu(instance, stored, out, correction)
        prints[instance.uid] = fingerprint(stored)
        if progress is not None:
            progress(index + 1, total)

    with PixelReader() as reader:
        grid.planes.fill(volume, write, beyond=AIR_HU)
    text = "".join(f"{uid} {prints[uid]}\n" for uid in sorted(prints))
    return volume, hashlib.sha256(text.encode()).hexdigest()

"""Fetches KiTS19 (Heller et al. 2019): images and labels of 210 patients, CC BY-NC-SA 4.0.

The sources are those of the repository neheller/kits19: its starter_code/get_imaging.py takes the
images from a data set on Hugging Face, and the labels are in its folder data.
"""

from __future__ import annotations

import gzip
import io
import math
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
from tqdm import tqdm

from renalseg.data.case_lists import IMAGE, LABEL, case_name
from renalseg.data.download import Download
from renalseg.data.manifest import Manifest
from renalseg.errors import ConfigError, InputError
from renalseg.runtime.checksums import sha256_of
from renalseg.runtime.progress import announce, bar_wanted

IMAGES = "https://huggingface.co/datasets/neheller/KiTS-Challenge-Imaging/resolve/main/images"
# A commit, so that the labels stay the same; it holds the corrections of December 2019.
LABELS = (
    "https://raw.githubusercontent.com/neheller/kits19/"
    "456b293435b25303bbc7995f094f83a0afdff0eb/data"
)
CASES = range(210)

_HEADER_BYTES = 352
_CHUNK = 1 << 22


class Fetched(NamedTuple):
    """Outcome of a call of `fetch`.

    Attributes:
        fetched: Files that were downloaded.
        kept: Files that were already there, complete.
    """

    fetched: int
    kept: int


def fetch(
    root: Path,
    cases: Sequence[int] = CASES,
    jobs: int = 4,
    images: str = IMAGES,
    labels: str = LABELS,
) -> Fetched:
    """Fetches cases into `root` in the layout of KiTS; existing files are checked and kept.

    Args:
        root: Gets case_00000/imaging.nii.gz, case_00000/segmentation.nii.gz, and so on, and the
            manifest. It may be the folder data of a clone of the repository.
        cases: Numbers of the cases.
        jobs: Parallel downloads.
        images: Folder of case_00000.nii.gz and so on.
        labels: Folder of case_00000/segmentation.nii.gz and so on.

    Raises:
        ConfigError: A file is not at its address.
        InputError: An existing file differs from the manifest, or a downloaded one is broken.
        RetryableError: The network failed repeatedly.
        OSError: A full disk, among others; parts are kept.
    """
    root.mkdir(parents=True, exist_ok=True)
    wanted = [
        pair
        for name in map(case_name, cases)
        for pair in (
            (f"{labels.rstrip('/')}/{name}/{LABEL}", root / name / LABEL),
            (f"{images.rstrip('/')}/{name}.nii.gz", root / name / IMAGE),
        )
    ]
    with tqdm(unit="B", unit_scale=True, disable=not bar_wanted()) as bar:
        run = _Run(Manifest(root), _shown_by(bar))
        fetched = run.all(wanted, jobs)
    return Fetched(fetched, len(wanted) - fetched)


def check_whole(path: Path) -> None:
    """Unpacks a .nii.gz to its end, so that its checksum is compared, and checks its length.

    Raises:
        InputError: It is truncated, damaged, or not a NIfTI volume.
    """
    try:
        with gzip.open(path) as file:
            header = nib.Nifti1Header.from_fileobj(io.BytesIO(file.read(_HEADER_BYTES)))
            length = _HEADER_BYTES
            while chunk := file.read(_CHUNK):
                length += len(chunk)
    except (OSError, EOFError, ValueError, zlib.error, nib.spatialimages.HeaderDataError) as error:
        raise InputError(f"Expected a whole NIfTI volume (.nii.gz) in {path}: {error}") from error
    voxels = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    expected = int(header.get_data_offset()) + voxels
    if length < expected:
        raise InputError(f"Expected {expected} bytes unpacked in {path}, found {length}")


class _Run:
    """Fetches files in several threads, which end when one fails for good."""

    def __init__(self, manifest: Manifest, progress: Callable[[int, int], None]) -> None:
        self.manifest = manifest
        self.progress = progress
        self.stop = threading.Event()

    def all(self, wanted: Sequence[tuple[str, Path]], jobs: int) -> int:
        """Fetches missing files; returns how many were downloaded."""
        refused: list[Exception] = []
        fetched = 0
        with ThreadPoolExecutor(jobs, "fetch") as pool:
            try:
                for future in as_completed(pool.submit(self.one, *pair) for pair in wanted):
                    error = future.exception()
                    if error is None:
                        fetched += future.result()
                    elif isinstance(error, ConfigError | InputError):
                        refused.append(error)  # for this file; the others may still arrive
                    else:
                        raise error
            finally:  # also on an interrupt
                self.stop.set()
                pool.shutdown(cancel_futures=True)
        if refused:
            rest = f" ({len(refused) - 1} more like this)" if len(refused) > 1 else ""
            raise type(refused[0])(f"{refused[0]}{rest}") from refused[0]
        return fetched

    def one(self, url: str, path: Path) -> bool:
        """Fetches a file; False if it was already there."""
        if path.exists():
            self._keep(path)
            return False
        download = Download(url, path, self.stop, self.progress)
        part = download.run()
        sha256 = sha256_of(part)
        try:
            if download.sha256 not in (None, sha256):
                raise InputError(f"Expected SHA-256 {download.sha256} of {url}, got {sha256}")
            check_whole(part)
        except InputError:
            part.unlink()  # resuming it would not repair it
            raise
        part.replace(path)
        self.manifest.add(path, sha256)
        if not bar_wanted():
            announce(str(path))
        return True

    def _keep(self, path: Path) -> None:
        if path not in self.manifest:
            check_whole(path)
            self.manifest.add(path, sha256_of(path))
        elif not self.manifest.matches(path):
            raise InputError(
                f"Expected {path} as it was fetched, found other content; "
                "delete it to fetch it again"
            )


def _shown_by(bar: tqdm) -> Callable[[int, int], None]:
    lock = threading.Lock()

    def progress(came: int, expected: int) -> None:
        with lock:
            bar.total = (bar.total or 0) + expected
            bar.update(came)

    return progress

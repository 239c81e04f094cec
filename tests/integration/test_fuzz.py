"""Hostile and damaged series: each ends in a result or in a refusal, in bounded time and memory."""

from __future__ import annotations

import io
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from renalseg.commands.inspect import inspect_folder
from renalseg.dicom.damage import damage_refused
from renalseg.dicom.read.series import CTSeries, read_series
from renalseg.dicom.write.derived import Origin
from renalseg.dicom.write.seg import build_seg
from renalseg.errors import InputError, RetryableError
from renalseg.findings.segments import split_segments
from renalseg.runtime.memory import peak_mib, reset_peak
from tests.factories.hostile import build, damaged_series, hostile_series, parse
from tests.factories.limits import SIDES
from tests.factories.series import write_case

SECONDS = 10  # of one series, which takes a hundredth of one
MEBIBYTES = 800  # that one series may add
SLICES = 4

REFUSALS = (InputError, RetryableError)
COMMON = {
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
QUICK = settings(derandomize=True, max_examples=200, **COMMON)
LONG = settings(
    derandomize=False, max_examples=10_000, print_blob=True, phases=tuple(Phase), **COMMON
)


class Files(list[bytes]):
    """The files of a series, which a report of a failure does not show in full."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    written = write_case(tmp_path_factory.mktemp("whole"), slices=SLICES)
    return Files(path.read_bytes() for path in written.paths)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails what takes longer, also if it would never end."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"timed out after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@damage_refused("as write_results does, whose files these are")
def write_seg(series: CTSeries) -> None:
    """Writes everything above air as a kidney, which is in each of the slices."""
    pred = MetaTensor((series.image.as_tensor() > -500).byte(), affine=series.image.affine)
    segmented, segments = split_segments(pred, series.image, sides=SIDES)
    if segments:
        seg = build_seg(Origin(series, "fuzz", "1"), segmented, segments)
        seg.save_as(io.BytesIO())


def process(folder: Path, contents: list[bytes]) -> bool:
    """Whether a series was processed; False if it was refused."""
    for index, content in enumerate(contents):
        (folder / f"{index}.dcm").write_bytes(content)
    told = expected(folder)
    reset_peak()
    before = peak_mib()
    with within(SECONDS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write_seg(read_series(folder))
            done, reason = True, ""
        except REFUSALS as error:
            done, reason = False, str(error)
        finally:
            assert peak_mib() - before < MEBIBYTES
    assert told == done, f"inspect says that it would be processed: {told}; the run: {reason}"
    return done


def expected(folder: Path) -> bool:
    """Whether inspect says that the series would be processed."""
    with within(SECONDS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            told = inspect_folder(folder)
        except REFUSALS:
            return False
    return told["exit_code"] == 0 and bool(told["files"]["processed"])


def test_the_whole_series_is_processed(files: Files, tmp_path: Path) -> None:
    assert [build(parse(file)) for file in files] == files
    assert process(tmp_path, files)


@QUICK
@given(data=st.data())
def test_hostile_headers_are_processed_or_refused(
    files: Files, folder: Path, data: st.DataObject
) -> None:
    process(folder, data.draw(hostile_series(files)))


@QUICK
@given(data=st.data())
def test_damaged_files_are_processed_or_refused(
    files: Files, folder: Path, data: st.DataObject
) -> None:
    process(folder, data.draw(damaged_series(files)))


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_many_hostile_headers(files: Files, folder: Path, data: st.DataObject) -> None:
    process(folder, data.draw(hostile_series(files)))


@pytest.mark.slow
@LONG
@given(data=st.data())
def test_many_damaged_files(files: Files, folder: Path, data: st.DataObject) -> None:
    process(folder, data.draw(damaged_series(files)))

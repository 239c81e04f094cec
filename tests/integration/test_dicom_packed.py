"""Input that is one file or an archive is opened, or the message says what to do."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from renalseg.commands.inspect import inspect_folder
from renalseg.dicom.read import packed
from renalseg.dicom.read.packed import unpacked
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_series
from renalseg.errors import ConfigError, InputError
from tests.factories.enhanced import write_enhanced
from tests.factories.series import Written, write_case


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_case(tmp_path / "ct" / "deep" / "er")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives are opened; empty after each."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def pack(kind: str, written: Written) -> Path:
    root = written.folder.parents[1]
    return Path(shutil.make_archive(str(root.parent / "packed"), kind, root))


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
@pytest.mark.parametrize("named", [True, False])
def test_archives_are_opened(kind: str, named: bool, written: Written, temporary: Path) -> None:
    path = pack(kind, written)
    if not named:  # the content tells, whatever the name is
        path = path.rename(path.parent / "study")
    before = path.read_bytes()
    path.chmod(0o400)
    series = read_series(path)
    np.testing.assert_array_equal(series.image[0].numpy(), written.hu)
    assert path.read_bytes() == before
    assert not list(temporary.iterdir())
    content = inspect_folder(path)
    assert (content["exit_code"], content["files"]["processed"]) == (0, 22)


def test_one_multi_frame_file(written: Written, tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "enhanced.dcm", written.paths)
    np.testing.assert_array_equal(read_series(path).image[0].numpy(), written.hu)
    packed_file = tmp_path / "enhanced.dcm.gz"
    packed_file.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_series(packed_file).image[0].numpy(), written.hu)
    link = tmp_path / "link"
    link.symlink_to(packed_file)
    assert read_series(link).image.shape[-1] == 22


def test_one_slice_is_too_few(written: Written) -> None:
    with pytest.raises(InputError, match=r"expected at least 2 CT slices, found 1"):
        read_series(written.paths[3])
    assert inspect_folder(written.paths[3])["files"]["refused"]


def nifti(path: Path) -> bytes:
    return (348).to_bytes(4, "little") + bytes(340) + b"n+1\0" + bytes(400)


def encrypted(path: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.dcm", b"x" * 100)
    content = bytearray(data.getvalue())
    for sign, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(sign) + offset] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nifti, r"NIfTI volume whose name ends in \.nii or \.nii\.gz, found one at .*: rename it"),
        (lambda path: gzip.compress(nifti(path)), "NIfTI volume whose name ends in"),
        (encrypted, "the ZIP archive is encrypted: unpack it with its password"),
        (lambda path: b"7z\xbc\xaf\x27\x1c" + bytes(600), "found a 7z archive at .*: unpack it"),
        (lambda path: b"Rar!" + bytes(600), "found a RAR archive at .*: unpack it"),
        (lambda path: b"PK\x03\x04" + bytes(600), "the ZIP archive is damaged"),
        (lambda path: gzip.compress(bytes(range(256)) * 99)[:-20], "the gzip file is damaged"),
        (lambda path: b"some text", r"expected a CT series, found none in .*1 x not DICOM"),
    ],
)
def test_what_is_not_opened_says_what_to_do(
    make: Callable[[Path], bytes], message: str, tmp_path: Path, temporary: Path
) -> None:
    path = tmp_path / "input"
    path.write_bytes(make(path))
    with pytest.raises(InputError, match=message):
        read_series(path)
    assert not list(temporary.iterdir())


def test_a_cut_archive_is_damaged(written: Written, temporary: Path) -> None:
    for kind in ("zip", "gztar"):
        path = pack(kind, written)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match="is damaged"):
            read_series(path)
    assert not list(temporary.iterdir())


def test_archives_in_a_folder_are_told(written: Written, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pack("zip", written).rename(tmp_path / "in" / "study.zip")
    (tmp_path / "in" / "ct.nii").write_bytes(nifti(tmp_path))
    told = r"1 x NIfTI image, 1 x ZIP archive, not opened\): give the archive itself as the input"
    with pytest.raises(InputError, match=told):
        scan_folder(tmp_path / "in")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_lead_out_are_refused(
    name: str, kind: str, written: Written, tmp_path: Path
) -> None:
    path, data = tmp_path / "bad", written.paths[0].read_bytes()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("good.dcm", data)
            archive.writestr(name, data)
    else:
        with tarfile.open(path, "w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    with pytest.raises(InputError, match="leads out of it"):
        read_series(path)
    assert not list(tmp_path.rglob("*evil*"))


def test_links_in_an_archive_are_not_made(written: Written, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(written.paths[0].read_bytes())
    (written.folder / "link.dcm").symlink_to(secret)
    (written.folder / "hard.dcm").hardlink_to(written.paths[0])
    path = pack("tar", written)
    with unpacked(path) as folder:
        assert not any(each.is_symlink() for each in folder.rglob("*"))
        assert sum(each.is_file() for each in folder.rglob("*")) == 22


def test_files_of_one_name_are_all_kept(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as archive:
        for source in written.paths:
            archive.add(source, "IM")
        archive.add(written.paths[0], "IM/below")
        archive.add(written.paths[0], "x" * 250)
    series = read_series(path)
    assert series.image.shape[-1] == 22
    assert dict(series.skipped) == {"duplicate": 2}


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 10_000), ("MAX_FILES", 5)])
@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_bombs_are_refused(
    limit: str, value: int, kind: str, written: Written, temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(packed, limit, value)
    with pytest.raises(InputError, match=f"{value:,}"):
        read_series(pack(kind, written))
    assert not list(temporary.iterdir())


def test_nowhere_to_open_it_is_said(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack("zip", written)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="TMPDIR"):
        read_series(path)


@pytest.mark.parametrize("name", [".", "./", "b\udcff\udcfe.dcm", "x\n\x1b[2J.dcm", "\udcff" * 250])
def test_names_that_are_none_or_no_text_are_read_too(
    name: str, written: Written, tmp_path: Path
) -> None:
    path = tmp_path / "odd.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for number, source in enumerate(written.paths):
            archive.add(source, name if number == 3 else f"{number}")
    assert read_series(path).image.shape[-1] == 22

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from renalseg.dicom.read.header import read_header
from renalseg.output.folder import complete_or_nothing
from renalseg.runtime.sealed import HEAD, open_sealed, unseal
from tests.factories.series import write_case


@pytest.fixture
def dataset(tmp_path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(write_case(tmp_path / "in", slices=22).paths[0])


def test_a_sealed_file_is_no_dicom_until_it_is_unsealed(
    dataset: pydicom.Dataset, tmp_path: Path
) -> None:
    plain, sealed = io.BytesIO(), tmp_path / "a.seg.dcm"
    dataset.save_as(plain)
    with open_sealed(sealed) as file:
        dataset.save_as(file)
    assert b"DICM" not in sealed.read_bytes()
    assert read_header(sealed) is None
    with pytest.raises(InvalidDicomError):
        pydicom.dcmread(sealed)
    forced = pydicom.dcmread(sealed, force=True)
    assert not {"SOPInstanceUID", "PixelData", "PatientID"} & set(forced.dir())
    for _ in range(2):  # once more does nothing
        unseal(sealed)
        assert sealed.read_bytes() == plain.getvalue()


@pytest.mark.parametrize("sizes", [(1, 2, HEAD, 5), (HEAD - 1, 2), (3 * HEAD,), (HEAD, HEAD)])
def test_the_content_is_the_same_however_it_is_written(
    sizes: tuple[int, ...], tmp_path: Path
) -> None:
    random = np.random.default_rng(sum(sizes))
    path, content = tmp_path / "a", bytes(128) + b"DICM"
    with open_sealed(path) as file:
        file.write(content)
        for size in sizes:
            part = random.bytes(size)
            content += file.write(part) and part
        file.seek(140)
        file.write(b"back")
    content = content[:140].ljust(140, b"\0") + b"back" + content[144:]
    assert path.read_bytes()[:HEAD] != content[:HEAD]
    unseal(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("there", [True, False])
def test_what_is_complete_is_readable(
    dataset: pydicom.Dataset, tmp_path: Path, there: bool
) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    with complete_or_nothing(out) as folder:
        with open_sealed(folder / "a.seg.dcm") as file:
            dataset.save_as(file)
        (folder / "result.json").write_text("{}")
    assert pydicom.dcmread(out / "a.seg.dcm") == dataset
    assert (out / "result.json").read_text() == "{}"

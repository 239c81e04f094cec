"""Volumes in files and in memory: the same voxels at the same places, or one clear sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor

from renalseg.errors import InputError, RetryableError
from renalseg.geometry import as_meant, lps_to_ras
from renalseg.volumes import size_limits
from renalseg.volumes.ct import CTVolume, read_ct
from renalseg.volumes.files import is_volume, open_volume, save_map, stem_of, suffix_of
from renalseg.volumes.given import of_given
from tests.factories.scales import SPACING, draw_body
from tests.factories.series import CASES, Case, marker_centroid
from tests.factories.volumes import TURNS, canonical, drawn, image_of, save, turned

FORMATS = ("ct.nii", "ct.nii.gz", "ct.nrrd", "ct.mha")


def read(path: Path) -> CTVolume:
    return read_ct(open_volume(path), "case", path.name)


def check(ct: CTVolume, case: Case) -> None:
    """The voxels of a case are where they were drawn."""
    hu, affine = drawn(case)
    expected, where = canonical(hu.astype(np.float32), affine)
    found, there = canonical(ct.image[0].numpy(), ct.image.affine.numpy())
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(there, where, atol=1e-4)
    marker = marker_centroid(ct.image[0].numpy(), ct.image.affine.numpy())
    np.testing.assert_allclose(marker, marker_centroid(hu, affine), atol=1e-3)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_every_format_and_pose_gives_the_voxels_where_they_are(
    tmp_path: Path, name: str, case: str
) -> None:
    check(read(save(tmp_path / name, *drawn(CASES[case]))), CASES[case])


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: str(turn.ravel().tolist()))
def test_all_orders_and_directions_of_axes_give_one_image(turn: np.ndarray) -> None:
    ct = read_ct(of_given(*turned(*drawn(), turn)), "case")
    plain = read_ct(of_given(*drawn()), "case")
    assert torch.equal(ct.image.as_tensor(), plain.image.as_tensor())
    assert ct.image.stride() == plain.image.stride()
    np.testing.assert_allclose(ct.image.affine, plain.image.affine, atol=1e-12)
    back = ct.turn.back(ct.image[0].numpy())
    np.testing.assert_array_equal(back, turned(*drawn(), turn)[0])


@pytest.mark.parametrize("name", FORMATS)
def test_a_map_comes_back_on_the_grid_of_its_source(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / "in" / name, *turned(*drawn(CASES["oblique"]), TURNS[13]))
    ct = read(source)
    values = ct.turn.back((ct.image[0].numpy() > 500).astype(np.uint8))
    path = tmp_path / name
    save_map(values, ct.turn.affine, path)
    first, second = sitk.ReadImage(str(source)), sitk.ReadImage(str(path))
    for ask in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(second, ask)(), getattr(first, ask)(), atol=1e-5)
    stored = sitk.GetArrayFromImage(first)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(second), stored > 500)
    if name.endswith((".nii", ".nii.gz")):
        np.testing.assert_array_equal(nib.load(path).affine, nib.load(source).affine)


def test_the_same_map_gives_the_same_bytes(tmp_path: Path) -> None:
    values, affine = np.ones((4, 5, 6), np.uint8), drawn()[1]
    for name in ("a.nii.gz", "b.nii.gz"):
        save_map(values, affine, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_what_is_in_memory_gives_what_is_in_files() -> None:
    hu, affine = drawn(CASES["oblique"])
    nifti = nib.Nifti1Image(hu.astype(np.float32), affine)
    tensor = torch.from_numpy(hu.astype(np.float32))[None]
    given = {
        "array": of_given(hu, affine),
        "channel": of_given(hu[None], affine),
        "tensor": of_given(tensor, affine),
        "metatensor": of_given(MetaTensor(tensor, affine=torch.from_numpy(affine))),
        "lps": of_given(
            MetaTensor(tensor, affine=torch.from_numpy(lps_to_ras(affine)), meta={"space": "LPS"})
        ),
        "nibabel": of_given(nifti),
        "simpleitk": of_given(image_of(hu, affine)),
    }
    for stored in given.values():
        check(read_ct(stored, "case"), CASES["oblique"])


def test_the_arrays_of_the_caller_are_not_changed() -> None:
    hu, affine = drawn()
    values = np.asfortranarray(hu, dtype=np.float32)
    values[0, 0, 0] = -2000
    before = values.copy()
    for given in (
        of_given(values, affine),
        of_given(nib.Nifti1Image(values, affine)),
        of_given(MetaTensor(torch.from_numpy(values)[None], affine=torch.from_numpy(affine))),
    ):
        assert read_ct(given, "case").image.min() == -1024
    np.testing.assert_array_equal(values, before)


def test_hu_are_rescaled_as_the_header_says(tmp_path: Path) -> None:
    hu, affine = drawn()
    image = nib.Nifti1Image((hu + 1024).astype(np.uint16), affine)
    image.header.set_slope_inter(1.0, -1024.0)
    nib.save(image, tmp_path / "ct.nii.gz")
    check(read(tmp_path / "ct.nii.gz"), Case())


@pytest.mark.parametrize("shift", [1024, -1024])
def test_an_intercept_that_was_left_out_or_counted_twice_is_corrected(shift: int) -> None:
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    plain, shifted = (
        read_ct(of_given(draw_body() + value, affine), "case") for value in (0, shift)
    )
    np.testing.assert_array_equal(shifted.image[0, :, :, 3:9], plain.image[0, :, :, 3:9])
    assert f"shifted by {-shift:+g}" in shifted.warnings[0]
    assert not any("shifted" in text for text in plain.warnings)


def test_float32_gives_the_numbers_that_were_meant() -> None:
    affine = np.diag([-0.743, 471 / 512, 1.6, 1.0])
    affine[:3, 3] = 123.456, -0.1, 1 / 3
    np.testing.assert_array_equal(as_meant(affine.astype(np.float32))[:2], affine[:2])
    np.testing.assert_array_equal(as_meant(affine), affine)
    assert as_meant(np.diag([0.74299997091293, 1, 1, 1]))[0, 0] == 0.743


AFFINE = drawn()[1]


def _nifti(path: Path, change: Callable[[nib.Nifti1Image], object]) -> Path:
    image = nib.Nifti1Image(*drawn())
    change(image)
    nib.save(image, path / "ct.nii.gz")
    return path / "ct.nii.gz"


def _cut(path: Path, name: str, part: float) -> Path:
    save(
        path / name, np.random.default_rng(0).integers(-1000, 1000, (24, 20, 22), np.int16), AFFINE
    )
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: int(len(content) * part)])
    return path / name


def _sheared() -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 2] = 0.4
    return affine


def _nan() -> np.ndarray:
    hu = drawn()[0].astype(np.float32)
    hu[:2] = np.nan
    return hu


def _text(path: Path, name: str, text: str) -> Path:
    (path / name).write_text(text)
    return path / name


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\nendian: little\n"
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "4-D": (
        lambda path: save(path / "ct.nii", np.zeros((4, 5, 6, 2), np.int16), AFFINE),
        r"expected a volume with 3 axes, found 4, 4 x 5 x 6 x 2, in .*ct\.nii",
    ),
    "2-D": (
        lambda path: save(path / "ct.nii", np.zeros((4, 5), np.int16), AFFINE),
        "expected a volume with 3 axes, found 2",
    ),
    "one slice": (
        lambda path: save(path / "ct.nii", np.zeros((4, 5, 1), np.int16), AFFINE),
        r"2 to 4096 voxels along each axis, found 4 x 5 x 1",
    ),
    "8 bits": (
        lambda path: save(path / "ct.nrrd", drawn()[0].astype(np.uint8), AFFINE),
        r"expected Hounsfield units, found 8 bits a voxel \(uint8\)",
    ),
    "colors": (
        lambda path: save(
            path / "ct.nii", np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE
        ),
        "expected one number a voxel, found the type void24",
    ),
    "vectors": (
        lambda path: _vectors(path / "ct.mha"),
        "expected one number a voxel",
    ),
    "no HU": (
        lambda path: save(path / "ct.mha", drawn()[0].clip(0) + 3000, AFFINE),
        r"expected Hounsfield units with air near -1000.*values from 3000 to 4000",
    ),
    "a label map": (
        lambda path: save(path / "ct.nii", (drawn()[0] > 0).astype(np.int16), AFFINE),
        "expected Hounsfield units.*neither air nor fat",
    ),
    "NaN": (
        lambda path: save(path / "ct.nii", _nan(), AFFINE),
        "expected a number in each voxel, found 8.3 % that are NaN or infinite",
    ),
    "no affine": (
        lambda path: _nifti(path, lambda image: (image.set_sform(None), image.set_qform(None))),
        "expected a qform or sform that says where the voxels lie, found none",
    ),
    "a made up affine": (
        lambda path: save(path / "ct.nii", drawn()[0], np.eye(4)),
        "expected an affine from the scanner, found the identity",
    ),
    "a made up affine in LPS": (
        lambda path: save(path / "ct.nrrd", drawn()[0], np.diag([-1.0, -1, 1, 1])),
        "expected an affine from the scanner, found the identity",
    ),
    "spacing that was lost": (
        lambda path: save(
            path / "ct.nii", np.zeros((512, 512, 2), np.int16), np.diag([-1.0, -1, 1, 1]) + _FAR
        ),
        "expected the spacing of the scan, found exactly 1 x 1 x 1 mm for 512 x 512 x 2 voxels",
    ),
    "a sheared affine": (
        lambda path: save(path / "ct.nii", drawn()[0], _sheared()),
        "expected axes at right angles, found a sheared affine",
    ),
    "meters": (
        lambda path: _nifti(path, lambda image: image.header.set_xyzt_units("meter")),
        "expected a volume in mm, found the unit meter",
    ),
    "micrometers": (
        lambda path: save(path / "ct.nrrd", drawn()[0], AFFINE @ np.diag([1e-3, 1e-3, 1e-3, 1])),
        r"expected voxels of 0\.01 to 20 mm, found 0\.0008 x 0\.0008 x 0\.0015 mm",
    ),
    "two places": (
        lambda path: _nifti(path, lambda image: image.set_qform(np.diag([1.0, 1, 1, 1]), 1)),
        "expected one place of the voxels, found sform and qform .* mm apart",
    ),
    "an empty file": (lambda path: _text(path, "ct.nii", ""), "expected a NIfTI volume, cannot"),
    "text": (lambda path: _text(path, "ct.nii.gz", "hello"), "expected a NIfTI volume, cannot"),
    "a cut NIfTI": (lambda path: _cut(path, "ct.nii.gz", 0.5), "damaged, truncated or none"),
    "a cut plain NIfTI": (lambda path: _cut(path, "ct.nii", 0.5), "damaged, truncated or none"),
    "a cut NRRD": (lambda path: _cut(path, "ct.nrrd", 0.5), "volume in NRRD, cannot read"),
    "a cut MHA": (lambda path: _cut(path, "ct.mha", 0.5), "volume in MetaImage, cannot read"),
    "voxels in another file": (
        lambda path: _text(path, "ct.nrrd", NRRD + "data file: /etc/passwd\n\n"),
        "expected the voxels behind the header, found none",
    ),
    "voxels in another file, MHA": (
        lambda path: _text(path, "ct.mha", "NDims = 3\nElementDataFile = /etc/passwd\n"),
        "expected the voxels behind the header, found none",
    ),
}
_FAR = np.zeros((4, 4))
_FAR[:3, 3] = 100, 100, -40


def _vectors(path: Path) -> Path:
    sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkVectorInt16, 3), str(path))
    return path


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_ct_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "affine", "message"),
    [
        (drawn()[0], None, "expected an affine beside an array"),
        (drawn()[0], np.eye(3), "expected an affine of 4 x 4 finite numbers"),
        (drawn()[0], np.full((4, 4), np.nan), "expected an affine of 4 x 4 finite numbers"),
        (nib.Nifti1Image(*drawn()), AFFINE, "expected no affine beside an image"),
        (MetaTensor(torch.zeros(1, 4, 5, 6)), None, "found the identity"),
        (object(), None, "expected a path, an array with its affine, .* found a object"),
    ],
)
def test_what_is_in_memory_and_no_ct_is_refused(
    given: object, affine: np.ndarray | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_ct(of_given(given, affine), "case")


def test_memory_is_checked_before_a_volume_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "ct.nii.gz", *drawn())
    monkeypatch.setattr(size_limits, "available_bytes", lambda: 1000)
    with pytest.raises(RetryableError, match="22 slices of 24 x 20 pixels need 73,920 bytes"):
        read(path)
    monkeypatch.setattr(size_limits, "total_bytes", lambda: 1000)
    with pytest.raises(InputError, match="there are 1,000 in all"):
        read(path)


def test_names_of_files_say_which_are_volumes() -> None:
    names = {"a.nii.gz": ("a", ".nii.gz"), "a.b.NRRD": ("a.b", ".NRRD"), "x.MHA": ("x", ".MHA")}
    for name, parts in names.items():
        assert (stem_of(Path(name)), suffix_of(Path(name))) == parts
    assert not any(is_volume(Path(name)) for name in (".a.nii", "a.gz", "a.dcm", "a.nhdr", "nii"))

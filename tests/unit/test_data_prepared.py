from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from renalseg.data.case_lists import LabeledCase
from renalseg.errors import InputError
from renalseg.training.prepared import prepare, prepare_all
from tests.factories.kits import SPACING, as_kits, kits_affine, patient, save, write_case

HU, TRUTH = patient()


def case(folder: Path) -> LabeledCase:
    return LabeledCase(folder.name, folder / "imaging.nii.gz", folder / "segmentation.nii.gz")


def load(folder: Path) -> dict[str, Any]:
    with np.load(folder / "facts.npz") as facts:
        found = dict(facts)
    for name in ("image", "label"):
        found[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return found


def prepared(tmp_path: Path, hu: Any = None, label: Any = None) -> dict[str, Any]:
    return load(prepare(case(write_case(tmp_path, 0, hu, label)), tmp_path / "cache"))


def test_volumes_are_turned_to_ras(tmp_path: Path) -> None:
    found = prepared(tmp_path)
    # cropped by 3 voxels in slices, where air is; a margin of 5 mm is kept
    np.testing.assert_array_equal(found["image"], HU[1:-1, 1:-1])
    np.testing.assert_array_equal(found["label"], TRUTH[1:-1, 1:-1])
    assert (found["image"].dtype, found["label"].dtype) == (np.int16, np.uint8)
    np.testing.assert_allclose(found["spacing"], SPACING)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "IPL", "SAR", "ALS"])
def test_any_orientation_gives_the_same_arrays(tmp_path: Path, axes: str) -> None:
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(axes))
    )
    folder = tmp_path / "case_00000"
    folder.mkdir()
    affine = np.diag([*SPACING, 1.0]) @ nib.orientations.inv_ornt_aff(turn, HU.shape)
    for values, name in ((HU, "imaging"), (TRUTH, "segmentation")):
        turned = nib.orientations.apply_orientation(values, turn)
        nib.save(nib.Nifti1Image(turned, affine), folder / f"{name}.nii.gz")
    found = load(prepare(case(folder), tmp_path / "cache"))
    np.testing.assert_array_equal(found["image"], HU[1:-1, 1:-1])
    np.testing.assert_array_equal(found["label"], TRUTH[1:-1, 1:-1])
    np.testing.assert_allclose(found["spacing"], SPACING)


def test_the_box_holds_all_that_is_labeled(tmp_path: Path) -> None:
    label = TRUTH.copy()
    label[0, 0, 0] = 1  # in the air
    assert prepared(tmp_path, HU, label)["label"].shape[:2] == (43, 31)


def test_float_files_are_rounded_and_padding_is_air(tmp_path: Path) -> None:
    hu = HU.astype(np.float64) + 0.4
    hu[0] = -2048.0
    found = prepared(tmp_path, hu)
    np.testing.assert_array_equal(found["image"], HU[1:-1, 1:-1])
    assert found["image"].min() >= -1024


def test_landmarks_lie_in_their_tissues(tmp_path: Path) -> None:
    found = prepared(tmp_path)
    for name, value in (("KIDNEY", 1), ("TUMOR", 2), ("CYST", 3)):
        points = tuple(found[name].T)
        assert len(points[0]) > 10
        assert (found["label"][points] == value).all()
    inner = found["VISCERAL"]
    assert len(inner)
    np.testing.assert_array_less(5, inner[:, :2].min())  # of body that begins at voxel 2
    np.testing.assert_array_less(inner[:, :2].max(axis=0), np.array(HU.shape[:2]) - 7)


def test_a_patient_without_tumor_has_no_landmark_of_one(tmp_path: Path) -> None:
    found = prepared(tmp_path, HU, np.minimum(TRUTH, 1))
    assert "TUMOR" not in found
    assert "KIDNEY" in found


def test_the_boxes_of_both_kidneys_are_kept(tmp_path: Path) -> None:
    boxes = sorted(prepared(tmp_path)["kidneys"].tolist())
    assert boxes == [[[6, 16], [7, 19], [5, 19]], [[26, 36], [7, 19], [5, 19]]]


def test_a_case_is_converted_once(tmp_path: Path) -> None:
    one = case(write_case(tmp_path))
    before = (prepare(one, tmp_path / "cache") / "image.npy").stat().st_mtime_ns
    assert (prepare(one, tmp_path / "cache") / "image.npy").stat().st_mtime_ns == before


def test_a_case_whose_label_changed_is_converted_anew(tmp_path: Path) -> None:
    one = case(write_case(tmp_path))
    prepare(one, tmp_path / "cache")
    save(np.minimum(TRUTH, 1), one.label)
    os.utime(one.label, (1, 1))
    assert load(prepare(one, tmp_path / "cache"))["label"].max() == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_others_may_read_a_converted_case(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    folder = prepare(case(write_case(tmp_path)), tmp_path / "cache")
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_cases_of_one_name_stay_apart(tmp_path: Path) -> None:
    cases = [case(write_case(tmp_path / part)) for part in ("a", "b")]
    assert len(set(prepare_all(cases, tmp_path / "cache", jobs=1))) == 2


def test_nothing_half_made_is_left(tmp_path: Path) -> None:
    one = case(write_case(tmp_path, label=np.full_like(TRUTH, 9)))
    with pytest.raises(InputError, match=r"segmentation\.nii\.gz, found \[9\]"):
        prepare(one, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_image_and_label_of_different_shape_are_refused(tmp_path: Path) -> None:
    one = case(write_case(tmp_path, label=TRUTH[:, :, 1:]))
    with pytest.raises(InputError, match=r"case_00000 on one grid.*\(24, 32, 44\).*\(23, 32, 44\)"):
        prepare(one, tmp_path / "cache")


def test_image_and_label_at_different_places_are_refused(tmp_path: Path) -> None:
    one = case(write_case(tmp_path))
    affine = kits_affine()
    affine[0, 3] = 12.0
    nib.save(nib.Nifti1Image(as_kits(TRUTH), affine), one.label)
    with pytest.raises(InputError, match=r"12\.0 mm apart"):
        prepare(one, tmp_path / "cache")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    one = case(write_case(tmp_path))
    one.image.write_bytes(one.image.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"whole NIfTI volume, cannot read .*imaging\.nii\.gz"):
        prepare(one, tmp_path / "cache")


def test_an_image_of_air_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a body"):
        prepared(tmp_path, np.full_like(HU, -1000), np.zeros_like(TRUTH))


def test_a_small_tumor_has_as_many_landmarks_as_a_large_one(tmp_path: Path) -> None:
    label = TRUTH.copy()
    label[8:11, 10:13, 8:10] = 2  # 1.4 ml, in the other kidney
    label[14, 14, 14] = 2  # 0.08 ml: a speck
    found = prepared(tmp_path, HU, label)
    np.testing.assert_allclose(sorted(found["tumors_ml"]), [1.44, 10.0])
    left = found["TUMOR"][:, 0] < 20
    assert left.sum() == (~left).sum()
    assert len(np.unique(found["TUMOR"][left], axis=0)) == 18
    points = tuple(found["TUMOR"].T)
    assert (found["label"][points] == 2).all()

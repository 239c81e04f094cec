"""From label maps and slices to slabs."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.training.slab_files import main, outline_kidneys


def write_data(root: Path) -> Path:
    """A KiTS label map, and a slice of each of the collections."""
    for folder in ("labels/kits", "slices", "slices_ccrcc", "slices_curvas", "slices_labeled"):
        (root / folder).mkdir(parents=True)
    label = np.zeros((10, 120, 200), np.uint8)  # z, y, x as KiTS stores them: I, P, L
    label[2:8, 40:80, 20:60] = KIDNEY
    label[3:6, 40:50, 20:40] = TUMOR
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(label, affine), root / "labels/kits/case_00004.nii.gz")
    gray = np.full((512, 512), 30, np.uint8)
    gray[280:320, 140:180] = 170
    picture = np.where(gray > 100, 160, 0).astype(np.uint8)
    kinds = np.where(gray > 100, KIDNEY, 0).astype(np.uint8)
    kinds[280:290, 140:150] = CYST
    np.savez(root / "slices/case_00025_slice_0060.npz", image_hu0_255=picture, label_kits23=kinds)
    (root / "slices/index.csv").write_text("case,slice,spacing_x\n25,60,0.8\n")
    np.savez(root / "slices_curvas/a.npz", image_hu0_255=picture, kidney=kinds)
    (root / "slices_curvas/index.csv").write_text("file,stem\na.npz,10001_4\n")
    tumor = np.zeros_like(gray)
    tumor[290:300, 150:160] = 1
    for name in ("b", "c"):
        np.savez(root / f"slices_ccrcc/{name}.npz", image_8bit=gray, tumor=tumor)
    rows = "file,lesion,patient_group,slice\nb.npz,P1,24,1\nc.npz,P1,24,2\n"
    (root / "slices_ccrcc/index.csv").write_text(rows)
    facts = {"patient": "kits 300", "window": (-79.0, 304.0)}
    for name, sides in (("d", (0.9, 0.7)), ("e", (np.nan, np.nan))):
        path = root / f"slices_labeled/{name}.npz"
        np.savez(path, image=picture.astype(np.int16), label=kinds, spacing=sides, **facts)
    return root


def test_each_source_becomes_slabs_of_its_patients(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "data"), tmp_path / "out"
    ellipses = {"P1": [[160, 300, 30, 30, 0]], "left_out": [["P1", 2]]}
    (tmp_path / "kidneys.yaml").write_text(yaml.safe_dump(ellipses))
    main([str(data), str(out), "--kidneys", str(tmp_path / "kidneys.yaml")])
    found = {path.stem: np.load(path) for path in out.glob("*.npz")}
    assert {name: str(slab["patient"]) for name, slab in found.items()} == {
        "kits_00004": "kits 4",
        "slice_case_00025_slice_0060": "kits 25",
        "curvas_a": "curvas 10001",
        "ccrcc_b": "ccrcc 24",
        "labeled_d": "kits 300",
        "labeled_e": "kits 300",
    }
    drawn = found["kits_00004"]
    assert "image" not in drawn
    np.testing.assert_allclose(drawn["spacing"], (1.25, 1.25, 3.0))
    ml = (drawn["label"] == TUMOR).sum() * 1.25**2 * 3 / 1000
    np.testing.assert_allclose(ml, 3 * 10 * 20 * 0.8**2 * 3 / 1000, rtol=0.15)
    # superior is up: the tumor lies in the slices that KiTS has first, which are the uppermost
    height = np.argwhere(drawn["label"] == TUMOR)[:, 2].mean()
    assert height > np.argwhere(drawn["label"] > 0)[:, 2].mean()
    real = found["slice_case_00025_slice_0060"]
    assert real["image"].shape == (512, 512, 1)
    x, y, _ = np.argwhere(real["label"] == CYST).mean(axis=0)
    assert (x, y) == (511 - 144.5, 511 - 284.5)  # columns run to the left, rows to posterior
    np.testing.assert_array_equal(found["labeled_d"]["label"], real["label"])
    assert found["labeled_d"]["window"].tolist() == [-79, 304]
    assert found["labeled_d"]["spacing"].tolist() == [0.7, 0.9, 3]  # stored by rows and columns
    assert found["labeled_e"]["spacing"].tolist() == [0.85, 0.85, 3]  # not stated
    sick = found["ccrcc_b"]
    assert (sick["label"] == TUMOR).sum() == 100
    assert (sick["label"] > 0).sum() > 1400
    assert sick["window"].tolist() == [-160, 240]
    assert sick["image"].max() == round(-160 + 170 * 400 / 255)


def test_a_kidney_is_outlined_within_its_ellipse() -> None:
    rows, columns = np.mgrid[:200, :200]
    kidney = ((columns - 100) / 40) ** 2 + ((rows - 90) / 25) ** 2 < 1
    liver = columns < 50
    gray = np.select([kidney, liver], [190.0, 130.0], 35.0)
    found = outline_kidneys(gray, [(100, 90, 44, 28, 0)])
    overlap = 2 * (found & kidney).sum() / (found.sum() + kidney.sum())
    assert overlap > 0.93
    assert not (found & liver & ~kidney).any()


def test_cts_of_btcv_have_cysts_of_their_own_and_the_masks_that_are_given(tmp_path: Path) -> None:
    data, found, out = tmp_path / "data", tmp_path / "found", tmp_path / "out"
    for folder in (data / "btcv/img", data / "btcv/label", found):
        folder.mkdir(parents=True)
    x, y, z = np.mgrid[:60, :40, :20]
    label = np.select(
        [(x - 15) ** 2 + (y - 20) ** 2 < 120, (x - 45) ** 2 + (y - 20) ** 2 < 120], [2, 3]
    )
    label[..., [0, 19]] = 0
    hu = np.where(label > 0, 140, -100).astype(np.int16)
    cyst = (x - 15) ** 2 + (y - 20) ** 2 + (z - 10) ** 2 < 50
    hu[cyst] = 8
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    for image, path in (
        (hu, data / "btcv/img/img0005.nii.gz"),
        (label.astype(np.uint8), data / "btcv/label/label0005.nii.gz"),
        ((x < 30).astype(np.uint8), found / "btcv_0005.nii.gz"),
    ):
        nib.save(nib.Nifti1Image(image, affine), path)
    main([str(data), str(out), "--found", str(found)])
    slab = np.load(out / "btcv_0005.npz")
    assert str(slab["patient"]) == "btcv 5"
    assert ((slab["label"] > 0) == (label > 0)).all()
    overlap = (
        2 * ((slab["label"] == CYST) & cyst).sum() / ((slab["label"] == CYST).sum() + cyst.sum())
    )
    assert overlap > 0.75
    assert (slab["found"] == (x < 30)).all()

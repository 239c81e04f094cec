"""Values that are no HU: refused, or corrected where the cause is certain, and said."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from renalseg.commands.inspect import inspect_folder
from renalseg.dicom.read.choose import make_plan
from renalseg.dicom.read.hounsfield import check_pixels
from renalseg.dicom.read.pixels import AS_STORED, Correction
from renalseg.dicom.read.scan import scan_folder
from renalseg.dicom.read.series import read_series
from renalseg.errors import InputError
from renalseg.volumes.hounsfield import fault_of
from tests.factories.scales import draw_body, write_body
from tests.factories.series import edit_all

HU = draw_body()
REAL = (
    *("acrin_head_chest", "acrin_noncontrast", "cort_liver_noncontrast", "ircadb17/dicom"),
    *("kits0/arterial", "kits0/late", "kits0/noncontrast"),
)


def hu_of(folder: Path) -> npt.NDArray[np.float32]:
    return np.asarray(read_series(folder).image[0].numpy())


# What is HU


def test_a_body_in_hu_is_read_as_it_is(tmp_path: Path) -> None:
    write_body(tmp_path)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), HU)
    assert not any("not in HU" in warning for warning in series.warnings)


def test_a_missing_rescale_type_means_hu(tmp_path: Path) -> None:
    write_body(tmp_path, RescaleType=None)
    np.testing.assert_array_equal(hu_of(tmp_path), HU)


@pytest.mark.parametrize(
    "image_type",
    [
        ["DERIVED", "PRIMARY", "AXIAL", "VMI"],
        ["DERIVED", "SECONDARY", "MONOENERGETIC", "70KEV"],
        ["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"],
        ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
    ],
)
def test_images_that_are_computed_in_hu_are_read(tmp_path: Path, image_type: list[str]) -> None:
    write_body(tmp_path, ImageType=image_type)
    np.testing.assert_array_equal(hu_of(tmp_path), HU)


def field_inside() -> npt.NDArray[np.int16]:
    return HU[14:50, 18:46]


def outside_set_to_zero() -> npt.NDArray[np.int16]:
    return np.where(HU < -500, 0, HU)


def lungs() -> npt.NDArray[np.int16]:
    left = np.arange(HU.shape[0])[:, None, None] < 32
    return np.where(left & (HU > 0) & (HU < 300), HU - 900, HU)


def low_energy() -> npt.NDArray[np.int16]:
    return np.where((HU > -200) & (HU < -20), HU - 90, np.where(HU > 0, HU * 1.5, HU))


def obese() -> npt.NDArray[np.int16]:
    return np.where((HU > 0) & (np.random.default_rng(1).random(HU.shape) < 0.8), HU - 150, HU)


def padded() -> npt.NDArray[np.int16]:
    return np.where(HU < -500, -3024, HU)


def scanner_without_patient() -> npt.NDArray[np.int16]:
    return np.where(HU > -500, -1000, HU)


def water_phantom() -> npt.NDArray[np.int16]:
    return np.where(HU > -500, HU % 7, HU)


@pytest.mark.parametrize(
    "make",
    [
        *(field_inside, outside_set_to_zero, lungs, low_energy, obese, padded),
        *(scanner_without_patient, water_phantom),
    ],
)
def test_what_may_be_hu_is_not_doubted(make: object) -> None:
    assert fault_of(make().astype(float).ravel()) is None  # type: ignore[operator]


@pytest.mark.parametrize("noise", [0, 40, 80])
def test_noise_raises_no_doubt(noise: float) -> None:
    drawn = HU + np.random.default_rng(2).normal(0, noise, HU.shape)
    assert fault_of(drawn.ravel()) is None


# What is none


@pytest.mark.parametrize("units", ["MGML", "Z_EFF", "US", "ED", "HU_MOD", "PCT", "=1+1\n"])
def test_another_unit_is_refused(tmp_path: Path, units: str) -> None:
    write_body(tmp_path, RescaleType=units)
    with pytest.raises(InputError, match=r"RescaleType \(0028,1054\)") as caught:
        read_series(tmp_path)
    assert "=" not in str(caught.value).replace(str(tmp_path), "")
    assert inspect_folder(tmp_path)["exit_code"] == 2


@pytest.mark.parametrize(
    "word", ["IODINE", "DE_IODINE", "MATERIAL_DENSITY", "MAT_SPECIFIC", "ZEFF", "EFF_ATOMIC_NUM"]
)
def test_a_map_of_another_quantity_is_refused(tmp_path: Path, word: str) -> None:
    write_body(tmp_path, ImageType=["DERIVED", "PRIMARY", "AXIAL", word], RescaleType=None)
    with pytest.raises(InputError, match="map of another quantity"):
        read_series(tmp_path)


STORED = {
    "a window of 8 bits": np.clip((HU + 160) / 400 * 255, 0, 255),
    "a window that keeps HU": np.clip(HU, -160, 240),
    "soft tissue alone": np.clip(HU, 0, 255),
    "shifted by an odd number": HU + 500,
    "half of what it should be": HU / 2,
    "twice of what it should be": HU * 2,
    "a map of iodine that names no unit": np.clip((HU - 30) / 10, 0, 100),
    "effective atomic numbers": np.where(HU < -500, 0, 7 + HU / 1000) * 10,
    "electron density": np.where(HU < -500, 0, 1000 + HU / 2),
}


@pytest.mark.parametrize("what", STORED)
def test_values_that_are_no_hu_are_refused(tmp_path: Path, what: str) -> None:
    write_body(tmp_path, STORED[what].round().astype(np.int16), RescaleType=None)
    with pytest.raises(InputError, match=r"expected Hounsfield units .* found .* values from"):
        read_series(tmp_path)
    told = inspect_folder(tmp_path)
    assert told["exit_code"] == 2
    assert "expected Hounsfield units" in told["studies"][0]["reason"]


def test_padding_that_covers_the_body_is_refused(tmp_path: Path) -> None:
    def pad(ds: object) -> None:
        ds.add_new("PixelPaddingValue", "SS", 0)  # type: ignore[attr-defined]
        ds.add_new("PixelPaddingRangeLimit", "SS", 3000)  # type: ignore[attr-defined]

    edit_all(write_body(tmp_path), pad)
    with pytest.raises(InputError, match="expected Hounsfield units"):
        read_series(tmp_path)


def test_slices_of_different_scales_are_refused(tmp_path: Path) -> None:
    paths = write_body(tmp_path)
    edit_all(paths[:6], lambda ds: setattr(ds, "RescaleIntercept", "700"))
    with pytest.raises(InputError, match="expected Hounsfield units"):
        read_series(tmp_path)


# What is corrected


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_forgotten_intercept_is_corrected_and_said(tmp_path: Path, wrapped: bool) -> None:
    stored = HU if wrapped else HU + 1024
    write_body(tmp_path, stored, PixelRepresentation=0)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), HU)
    (said,) = [warning for warning in series.warnings if "not in HU" in warning]
    assert ("signed" if wrapped else "-1024") in said
    (study,) = inspect_folder(tmp_path)["studies"]
    assert said in study["warnings"]


def test_values_of_12_bits_that_wrapped_are_corrected(tmp_path: Path) -> None:
    stored = np.where(HU < 0, HU + 4096, HU)
    write_body(tmp_path, stored, PixelRepresentation=0, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(hu_of(tmp_path), HU)


def test_an_intercept_that_counts_twice_is_corrected(tmp_path: Path) -> None:
    write_body(tmp_path, HU, RescaleIntercept="-1024")
    np.testing.assert_array_equal(hu_of(tmp_path), HU)


def test_a_cause_that_is_not_certain_is_refused(tmp_path: Path) -> None:
    inside = np.where(HU < -200, 0, HU) + 1024  # no air that would say so
    write_body(tmp_path, inside, PixelRepresentation=0)
    with pytest.raises(InputError, match="expected Hounsfield units"):
        read_series(tmp_path)


# The choice


@pytest.mark.parametrize(
    "tags",
    [{"RescaleType": "MGML"}, {"ImageType": ["ORIGINAL", "PRIMARY", "IODINE"]}, {}],
)
def test_what_is_no_hu_never_wins(tmp_path: Path, tags: dict[str, object]) -> None:
    conventional = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"], "ConvolutionKernel": "B70s"}
    window = STORED["a window of 8 bits"].round().astype(np.int16)
    paths = write_body(tmp_path / "map", window, SeriesDescription="PORTAL VENOUS", **tags)
    edit_all(paths, lambda ds: setattr(ds, "SeriesInstanceUID", "1.2.3"))
    paths = write_body(tmp_path / "ct", **conventional)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.image[0].numpy(), HU)
    (study,) = inspect_folder(tmp_path)["studies"]
    statuses = {entry["series"]: entry["status"] for entry in study["series"]}
    assert statuses.pop("1.2.3") == "refused"
    assert list(statuses.values()) == ["processed"]
    assert len(paths) == len(series.headers)


# Real CTs


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_cts_are_in_hu_and_quickly_known(data_dir: Path, name: str) -> None:
    (study,) = make_plan(scan_folder(data_dir / "ct" / name)).studies
    best = study.best
    assert best is not None
    assert best.source is not None
    assert best.source.correction == AS_STORED
    start = time.process_time()
    check_pixels(best.instances)
    assert time.process_time() - start < 0.25  # on a slow machine; about 0.06 where compressed


def test_what_is_corrected_is_named() -> None:
    assert AS_STORED.remark is None
    assert "shifted by +1024" in str(Correction(1024.0).remark)

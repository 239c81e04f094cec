"""The calibration of a bundle: the lesions that it finds in slabs, and the fit."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from renalseg.errors import ConfigError
from renalseg.evidence import Evidence, with_evidence
from renalseg.inference.metadata import fingerprint
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.synthesis.slabs import Slab
from tests.factories.bundles import CONFIG, write_bundle
from tests.factories.slabs import FOLDS, real, save
from tools.__main__ import main
from tools.calibration.fit import fit, held_out
from tools.calibration.lesions import Lesions, find_lesions, read_lesions


def drawn(count: int, intercept: float, slope: float) -> Lesions:
    """Lesions whose probability is known."""
    random = np.random.default_rng(0)
    odds = random.normal(0, 2, count)
    real = random.random(count) < 1 / (1 + np.exp(-intercept - slope * odds))
    return Lesions(np.arange(count) // 2, 1 / (1 + np.exp(-odds)), real.astype(float))


def test_the_fit_finds_the_probability_that_was_drawn() -> None:
    found = fit(drawn(4000, -1.0, 0.5))
    assert found.intercept == pytest.approx(-1.0, abs=0.15)
    assert found.slope == pytest.approx(0.5, abs=0.1)


def test_lesions_that_are_told_apart_have_a_finite_slope() -> None:
    found = fit(Lesions(np.arange(4), np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])))
    assert 0 < found.slope < 10


def test_a_patient_has_no_part_in_his_own_probability() -> None:
    lesions = drawn(40, 0.0, 1.0)
    changed = lesions._replace(real=np.where(lesions.patients == 3, 1 - lesions.real, lesions.real))
    own = lesions.patients == 3
    np.testing.assert_array_equal(held_out(lesions)[own], held_out(changed)[own])
    assert (held_out(lesions)[~own] != held_out(changed)[~own]).any()


def test_the_command_puts_the_fit_into_the_bundle(tmp_path: Path) -> None:
    lesions, bundle = drawn(30, 0.0, 1.0), write_bundle(tmp_path / "tumor_x")
    table = tmp_path / "lesions.csv"
    lines = (f"{a},{b},{c}" for a, b, c in zip(*lesions, strict=True))
    table.write_text("\n".join(("patient,mean_output,real", *lines)))
    picture = tmp_path / "reliability.png"
    assert main(["calibrate", str(table), str(bundle), "--picture", str(picture)]) == 0
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] == "1.0.0"
    fitted = metadata["calibration"]
    assert fitted["fingerprint"] == fingerprint([bundle])
    assert (fitted["lesions"], fitted["patients"]) == (30, 15)
    assert 0 < fitted["brier_in_sample"] < fitted["brier"] < fitted["brier_of_the_share"]
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,mean_output\na,0.5\n", "Expected patient, mean_output, real"),
        ("patient,mean_output,real\na,,1\n", "Expected patient, mean_output, real"),
        ("patient,mean_output,real\na,0.5,1\nb,0.5,1\n", "found one kind"),
    ],
)
def test_a_table_that_tells_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_lesions(tmp_path / "t.csv")


# The lesions that a bundle finds


def called(image: MetaTensor, mask: MetaTensor) -> MetaTensor:
    """Everything in the mask that is darker than a kidney is tumor, with 0.75."""
    dark = (image.as_tensor() < 120) & (mask.as_tensor() > 0)
    pred = MetaTensor(mask.as_tensor() * KIDNEY + dark.to(torch.uint8), affine=image.affine)
    probs = torch.cat([0.75 * dark.float(), torch.zeros(dark.shape)])
    return with_evidence(pred, Evidence((MetaTensor(probs.half(), affine=image.affine),)))


def test_a_lesion_is_real_where_one_of_its_kind_is_labeled() -> None:
    tumor, cyst = find_lesions([real(lesions=True)], called)
    assert (tumor["patient"], tumor["kind"], tumor["mean_output"]) == ("real 0", "tumor", 0.75)
    assert (tumor["real"], cyst["kind"], cyst["real"]) == (1, "tumor", 0)
    assert tumor["volume_ml"] > cyst["volume_ml"] > 0


def test_a_lesion_that_hardly_overlaps_is_false() -> None:
    slab = real(lesions=True)
    slab.label[slab.label == TUMOR] = KIDNEY
    slab.label[14:17, 31:34] = TUMOR  # 9 of the 145 pixels that are called tumor
    assert [row["real"] for row in find_lesions([slab], called)] == [0, 0]


def test_a_speck_counts_as_none() -> None:
    slab = real()
    slab.image[25, 32:34] = 90  # two pixels, 40 mm of them are 141 mm3; one is 70 mm3
    slab.image[70, 32] = 90
    (lesion,) = find_lesions([slab], called)
    assert (lesion["volume_ml"], lesion["real"]) == (0.14, 0)


def test_a_slice_becomes_as_thick_as_a_tumor() -> None:
    seen = []
    list(find_lesions([real()], lambda *given: seen.append(given) or called(*given)))
    ((image, mask),) = seen
    assert image.shape == mask.shape == (1, 96, 64, 15)
    np.testing.assert_array_equal(image.affine.diagonal(), [1.25, 1.25, 3.0, 1.0])


def test_the_mask_of_the_localizer_is_given_where_there_is_one() -> None:
    slab = real(lesions=True)
    found = (slab.label == CYST).to(torch.uint8)
    (cyst,) = find_lesions([Slab("x", slab.label, slab.spacing, slab.image, None, found)], called)
    assert cyst["real"] == 0


def test_label_maps_without_an_image_are_left_out() -> None:
    assert not list(find_lesions([Slab("x", real().label, (1.0, 1.0, 3.0))], called))


def darker(root: Path) -> Path:
    """Writes a bundle that calls a tumor what is from 0 to 120 HU, and kidney what is above."""
    nested = CONFIG.replace("out_channels: 1", "out_channels: 2").replace(
        "pred}", "pred, nested: true}"
    )
    write_bundle(root, config=nested)
    weights = {
        "weight": torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1),
        "bias": torch.tensor([0.0, 120.0]),
    }
    torch.save(weights, root / "models" / "model.pt")
    (root / "configs" / "folds.yaml").write_text(FOLDS)
    return root


def test_one_command_runs_the_bundle_and_fits(tmp_path: Path) -> None:
    bundle, slabs, table = darker(tmp_path / "tumor_x"), tmp_path / "slabs", tmp_path / "found.csv"
    slabs.mkdir()
    for patient in ("real 0", "real 1", "drawn 1"):
        save(real(patient, lesions=True), slabs / f"{patient}.npz")
    assert main(["calibrate", str(slabs), str(bundle), "--fold", "0", "--table", str(table)]) == 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["patient"], row["real"]) for row in rows] == [
        *[("drawn 1", "1"), ("drawn 1", "0")],
        *[("real 1", "1"), ("real 1", "0")],
    ]
    fitted = json.loads((bundle / "configs" / "metadata.json").read_text())["calibration"]
    assert (fitted["fingerprint"], fitted["real"]) == (fingerprint([bundle]), 2)
    assert read_lesions(table).real.tolist() == [1, 0, 1, 0]

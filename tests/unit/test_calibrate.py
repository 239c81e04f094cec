"""The fit of a calibration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from renalseg.errors import ConfigError
from renalseg.inference.metadata import fingerprint
from tests.factories.bundles import write_bundle
from tools.__main__ import main
from tools.calibrate import Lesions, fit, held_out, read_lesions


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
    assert 0 < fitted["brier"] < fitted["brier_of_the_share"]
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

"""What the test of the wheel refuses in its content; `make wheel-test` runs it on the wheel."""

from __future__ import annotations

import pytest

from tools.wheel_test import missing, unwanted

META = "renalseg-0.1.0.dist-info/METADATA"


@pytest.mark.parametrize(
    "name",
    [
        "tests/unit/test_cli.py",
        "tools/__main__.py",
        "app/app.py",
        "bundles/kidney_sehdc/configs/inference.yaml",
        "renalseg/__pycache__/limits.cpython-311.pyc",
        "renalseg/bundles/kidney_sehdc/eval/metrics.csv",
    ],
)
def test_what_is_not_of_the_package_is_unwanted(name: str) -> None:
    assert unwanted(["renalseg/limits.py", META, name]) == [name]


def test_a_bundle_without_its_weights_is_missed() -> None:
    everything = missing([])
    assert "renalseg/py.typed" in everything
    assert "renalseg/bundles/methods/defaults.yaml" in everything
    weights = "renalseg/bundles/tumor_msvnet/models/model.pt"
    assert missing([name for name in everything if name != weights]) == [weights]
    assert missing(everything) == []

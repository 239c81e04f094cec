"""The ranges of pyproject.toml and the pins of requirements.txt are the same list."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
# Extras that requirements.txt has not, since few want them.
LEFT_OUT = {"mlflow", "parquet", "fhir", "mesh", "hub", "nnunet"}


def declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    kept = [line for name, lines in extras if name not in LEFT_OUT for line in lines]
    lines = [*project["dependencies"], *kept]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def pinned() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return {requirement.name: requirement for requirement in map(Requirement, kept)}


def test_every_dependency_is_pinned_and_every_pin_declared() -> None:
    assert sorted(declared()) == sorted(pinned())


def test_every_pin_is_exact_and_within_its_range() -> None:
    ranges = declared()
    for name, pin in pinned().items():
        (only,) = pin.specifier
        assert only.operator == "==", name
        assert only.version in ranges[name].specifier, name
        assert str(pin.marker) == str(ranges[name].marker), name

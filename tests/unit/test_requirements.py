"""The ranges of pyproject.toml, the pins of requirements.txt and the locks are the same list."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy/image"
# Extras that requirements.txt has not, since few want them.
LEFT_OUT = {"mlflow", "parquet", "fhir", "ray", "mesh", "hub", "nnunet"}


def declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    kept = [line for name, lines in extras if name not in LEFT_OUT for line in lines]
    lines = [*project["dependencies"], *kept]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def pinned(name: str = "requirements.txt") -> dict[str, Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    kept = [line.partition(" #")[0] for line in lines if line and not line.startswith("#")]
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


def locked(name: str) -> dict[str, str]:
    """Versions of a lock, which holds nothing but packages with their hashes."""
    text = (IMAGE / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    package = r"([a-z0-9-]+)==([\w.+]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
    assert re.fullmatch(f"(?:{package})+", "".join(lines))
    return {found[0]: found[1] for found in re.findall(package, "".join(lines))}


@pytest.mark.parametrize(("lock", "build"), [("cuda.lock", ""), ("cpu.lock", "+cpu")])
def test_the_image_gets_every_pin_but_what_is_excluded(lock: str, build: str) -> None:
    found, excluded = locked(lock), pinned("deploy/image/excluded.txt")
    assert not excluded.keys() & found.keys()
    for name, pin in pinned().items():
        if name not in excluded:
            wanted = str(pin.specifier) + (build if name == "torch" else "")
            assert f"=={found[name.lower().replace('_', '-')]}" == wanted, "run `make lock`"
    assert any(name.startswith("nvidia-cudnn") for name in found) is (lock == "cuda.lock")


def test_what_builds_the_image_is_locked() -> None:
    found = locked("build.lock")
    for name, pin in pinned("requirements-build.txt").items():
        assert f"=={found[name]}" == str(pin.specifier), "run `make lock`"

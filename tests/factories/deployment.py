"""What the files of deploy/ are read with, and what of the Dockerfile they must agree with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from renalseg import __version__
from tests.factories.dockerfile import variables

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGE = f"localhost/renalseg:{__version__}"
ENVIRONMENT = variables(ROOT / "Dockerfile", "ENV")


def load(name: str) -> Any:
    """The content of a YAML or JSON file of deploy/."""
    text = (DEPLOY / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def pinned(package: str) -> str:
    """Version of a package in requirements.txt."""
    text = (ROOT / "requirements.txt").read_text()
    found = re.search(rf"^{package}==([\w.]+)", text, re.MULTILINE)
    assert found, package
    return found[1]

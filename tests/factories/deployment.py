"""What the files of deploy/ are read with, and what of the Dockerfile they must agree with."""

from __future__ import annotations

import json
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

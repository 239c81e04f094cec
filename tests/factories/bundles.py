"""Bundles of a network of one weight, by which everything denser than water is kidney."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml

from tests.factories.limits import ANYTHING

CONFIG = """\
bundle_root: .
device: $None
progress: true
network:
  _target_: renalseg.inference.bundle.load_network
  network: {_target_: torch.nn.Conv3d, in_channels: 1, out_channels: 1, kernel_size: 1}
  weights: $@bundle_root + '/models/model.pt'
  device: "@device"
  engine: torch
preprocessing: {_target_: Compose, transforms: []}
inferer: {_target_: SimpleInferer}
postprocessing:
  _target_: Compose
  transforms:
  - {_target_: renalseg.transforms.RestoreGridd, keys: pred}
"""


def write_bundles(folder: Path) -> Path:
    """Writes the bundles of a method "tiny", to which anything is a kidney; gives their folder."""
    for name in ("kidney_tiny", "tumor_tiny"):
        write_bundle(folder / name)
    (folder / "methods").mkdir(exist_ok=True)
    numbers = yaml.safe_dump(json.loads(ANYTHING.text))
    (folder / "methods" / "defaults.yaml").write_text(numbers)
    return folder


def write_bundle(root: Path, version: str = "1.0.0", config: str = CONFIG) -> Path:
    """Writes a bundle whose network tells positive voxels from negative ones, and gives it."""
    for part in ("configs", "models"):
        (root / part).mkdir(parents=True)
    (root / "configs" / "inference.yaml").write_text(config)
    (root / "configs" / "metadata.json").write_text(json.dumps({"version": version}))
    weights = {"weight": torch.ones(1, 1, 1, 1, 1), "bias": torch.zeros(1)}
    torch.save(weights, root / "models" / "model.pt")
    return root

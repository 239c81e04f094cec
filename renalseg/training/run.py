"""Runs the training of a bundle, as `python -m monai.bundle run` does, with short messages."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError, RenalSegError, causes
from renalseg.inference.methods import read_yaml

_PROCESSES = "multi_gpu_train"


def train_bundle(
    bundle: Path,
    output_dir: Path,
    knobs: Mapping[str, Any] | None = None,
    overlays: Sequence[str] = (),
) -> None:
    """Trains a bundle; one of several processes where torchrun has started them.

    Args:
        bundle: Its folder.
        output_dir: Gets what a training leaves; a training that is there already resumes.
        knobs: Values in place of those in train.yaml.
        overlays: Names of the bundle's configs that are laid over train.yaml, such as "paper".

    Raises:
        ConfigError: There is no such bundle, config or knob.
        RenalSegError: What ended the training, without the framework's errors around it.
    """
    knobs = dict(knobs or {})
    if "RANK" in os.environ:
        overlays = (*overlays, _PROCESSES)
    files = [bundle / "configs" / f"{name}.yaml" for name in ("train", *overlays)]
    absent = [path for path in files if not path.is_file()]
    if absent:
        there = sorted(path.name for path in (bundle / "configs").glob("*.yaml"))
        raise ConfigError(
            f"Expected {absent[0]}, found {', '.join(there) or 'no config'} in {bundle / 'configs'}"
        )
    known = read_yaml(files[0], "the settings of a training").keys()
    unknown = sorted(name for name in knobs if name.split("::")[0] not in known)
    if unknown:
        raise ConfigError(
            f"Expected names of {files[0]}, found {', '.join(unknown)}; known are "
            f"{', '.join(sorted(known))}"
        )
    from monai.bundle import run

    folders = {"bundle_root": str(bundle), "output_dir": str(output_dir)}
    try:
        run(config_file=[str(path) for path in files], **folders, **knobs)
    except Exception as error:
        own = next((cause for cause in causes(error) if isinstance(cause, RenalSegError)), None)
        if own is None:
            raise
        raise own from None

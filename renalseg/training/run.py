"""Runs the training of a bundle, as `python -m monai.bundle run` does, with short messages."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError, RenalSegError, causes
from renalseg.inference.methods import BUNDLES, read_yaml
from renalseg.runtime.checksums import RECIPES

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
    files = config_files(bundle, overlays)
    contents = [read_yaml(path, "the settings of a training") for path in files]
    known = {name.lstrip("+").split("::")[0] for content in contents for name in content}
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


def config_files(bundle: Path, overlays: Sequence[str]) -> list[Path]:
    """The configs of a training, each to be laid over those before it.

    Before an overlay of the bundle comes the recipe of the same name, if there is one: what the
    overlays of all bundles share, in the folder `recipes` beside the bundle or in that of
    `BUNDLES`.

    Args:
        bundle: Its folder.
        overlays: Names of the bundle's configs that are laid over train.yaml.

    Raises:
        ConfigError: There is no such config.
    """
    own = [bundle / "configs" / f"{name}.yaml" for name in ("train", *overlays)]
    absent = [path for path in own if not path.is_file()]
    if absent:
        there = sorted(path.name for path in (bundle / "configs").glob("*.yaml"))
        raise ConfigError(
            f"Expected {absent[0]}, found {', '.join(there) or 'no config'} in {bundle / 'configs'}"
        )
    files = []
    for path in own:
        shared = (folder / RECIPES / path.name for folder in (bundle.resolve().parent, BUNDLES))
        files += [*[one for one in shared if one.is_file()][:1], path]
    return files

"""MONAI bundles that are not of RenalSeg: what their files say, before MONAI is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError
from renalseg.inference.foreign import structures
from renalseg.inference.metadata import METADATA_FILE, read_json, read_metadata
from renalseg.inference.methods import read_yaml

KNOBS: Mapping[str, Any] = structures.KNOBS
_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_DECIDE = ("configs", "models", "scripts")  # folders whose files decide what it finds


def version(folder: Path) -> str:
    """Returns the version that a bundle states.

    Raises:
        ConfigError: It is no bundle.
    """
    return "-".join(str(read_metadata(folder).get("version", "unknown")).split())[:12]


def files(folder: Path) -> list[Path]:
    """Lists the files that decide what a bundle finds, in a fixed order.

    Raises:
        ConfigError: The folder is no bundle, or has no weights.
    """
    config_file(folder)
    weights = [folder / "models" / f"model.{suffix}" for suffix in ("pt", "ts")]
    if not any(path.is_file() for path in weights):
        raise ConfigError(f"Expected models/model.pt or models/model.ts in {folder}, found none")
    paths = (path for part in _DECIDE for path in (folder / part).rglob("*") if path.is_file())
    return sorted(path for path in paths if path.suffix != ".pyc")


def config(folder: Path) -> dict[str, Any]:
    """Returns the names in a bundle's config with their values.

    Raises:
        ConfigError: The folder is no bundle, or its config cannot be read.
    """
    path = config_file(folder)
    read = read_json if path.suffix == ".json" else read_yaml
    return read(path, "the config of a bundle")


def config_file(folder: Path) -> Path:
    """Finds the config of a bundle.

    Raises:
        ConfigError: The folder is no bundle.
    """
    for name in _CONFIGS:
        if (folder / "configs" / name).is_file():
            return folder / "configs" / name
    raise ConfigError(
        f"Expected a MONAI bundle, with one of {', '.join(_CONFIGS)} in configs, in {folder}, "
        "found none"
    )


def data_format(metadata: Mapping[str, Any], folder: Path) -> tuple[str, str, dict[str, int]]:
    """Gives the names of input and output, and the number of each channel's name.

    Raises:
        ConfigError: The metadata do not say it, or the input is not CT alone.
    """
    where = f"the network_data_format of {folder / METADATA_FILE}"
    try:
        content: Any = metadata["network_data_format"]
        ((image, taken),) = content["inputs"].items()
        ((pred, made),) = content["outputs"].items()
        channels = {str(name): int(number) for number, name in made["channel_def"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"Expected one input, and one output with a channel_def, in {where}, found "
            f"{metadata.get('network_data_format')!r}"
        ) from error
    if taken.get("num_channels", 1) != 1:
        raise ConfigError(
            f"Expected one input channel, CT, in {where}, found {taken['num_channels']}"
        )
    return image, pred, channels

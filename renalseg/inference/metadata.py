"""Metadata and fingerprints of bundles."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError

METADATA_FILE = "configs/metadata.json"
LICENSE_FILE = "docs/data_license.txt"
"""Says where the weights come from, and on what terms they may be used."""
TUMOR_METRIC = "tumor_dice_synthetic"
"""Begin of the names of a tumor bundle's Dice in `eval_metrics`, one for what runs before it."""
_DECIDES = ("configs/inference.yaml", "models/model.pt")  # what decides a bundle's output
FINGERPRINT = 16  # characters
_LICENSES = re.compile(r"\bCC BY[A-Z-]* \d\.\d|\bApache-2\.0")


def read_metadata(bundle: Path) -> dict[str, Any]:
    """Reads a bundle's configs/metadata.json.

    Raises:
        ConfigError: It is missing or not a JSON object.
    """
    return read_json(bundle / METADATA_FILE, "the metadata of a bundle")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Reads a file of names and values.

    Args:
        path: The file.
        what: What is expected there, for messages.

    Raises:
        ConfigError: It is missing or not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"Expected {what} in {path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"Expected a JSON object in {path}, found {type(content).__name__}")
    return content


def licenses_of(bundle: Path) -> list[str]:
    """Names the licenses that a bundle's `LICENSE_FILE` names, such as "CC BY-NC-SA 4.0"."""
    path = bundle / LICENSE_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return sorted(set(_LICENSES.findall(text)))


def weights_license(bundle: Path) -> str:
    """The license of the weights in SPDX's spelling: the one with the most conditions.

    Raises:
        ConfigError: The bundle names none.
    """
    names = licenses_of(bundle)
    if not names:
        raise ConfigError(
            f"Expected the license of the weights in {bundle / LICENSE_FILE}, such as "
            "CC BY-NC-SA 4.0 or Apache-2.0, found none: without one nobody may use them"
        )
    shared = [name for name in names if name.startswith("CC ")]
    return max(shared or names, key=len).replace(" ", "-")


def tumor_metric(before: Iterable[str], metric: str = TUMOR_METRIC) -> str:
    """Names a metric of a tumor bundle that depends on the bundles before it.

    Args:
        before: Names of the localizer and, if any, the refiner.
        metric: What was measured.
    """
    return f"{metric}_after_{'_and_'.join(before)}"


def fingerprint(bundles: Iterable[Path]) -> str:
    """Hashes the weights and inference settings of bundles to 16 characters.

    Raises:
        ConfigError: A bundle lacks one of these files.
    """
    digest = hashlib.sha256()
    for bundle in bundles:
        for name in _DECIDES:
            try:
                digest.update((bundle / name).read_bytes())
            except OSError as error:
                raise ConfigError(f"Expected {name} in the bundle {bundle}: {error}") from error
    return digest.hexdigest()[:FINGERPRINT]


def describe_bundle(bundle: Path) -> str:
    """Returns a bundle's name for results, such as "kidney_sehdc 0.3.0 0123456789abcdef".

    The version is what the bundle states. The fingerprint also distinguishes weights that were
    trained further under the same version.

    Raises:
        ConfigError: Metadata, weights or settings are missing.
    """
    version = read_metadata(bundle).get("version", "unknown")
    return f"{bundle.name} {version} {fingerprint([bundle])}"


def short_hash(*parts: str) -> str:
    """Hashes texts to the length of a `fingerprint`; where one text ends matters, too."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT]

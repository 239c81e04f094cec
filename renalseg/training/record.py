"""The record of a training: what an export must know of it besides the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from renalseg.data.case_lists import Fold
from renalseg.errors import ConfigError
from renalseg.inference.methods import read_yaml
from renalseg.runtime.staging import complete_file

RECORD = "export.yaml"
"""What a training leaves for its export: `inference`, the settings, `data`, the sources, and in a
training by folds `held_out`, the names of the cases that validate it."""


def write_record(
    output_dir: Path, inference: Mapping[str, Any], data: Any, fold: Fold | None = None
) -> None:
    """Writes the record of a training, or compares it with that of the training that it resumes.

    Args:
        output_dir: Of the training.
        inference: Names in the bundle's inference.yaml, "network_def::width" for nested ones, with
            the values that the weights are for.
        data: The source of the training, or several.
        fold: Whose cases validate it, if it is trained by folds.

    Raises:
        ConfigError: The training began with other settings, or with another fold.
    """
    path = output_dir / RECORD
    names = [Path(str(one)).name for one in ([data] if isinstance(data, str | Path) else data)]
    record = {"inference": json.loads(json.dumps(inference)), "data": names}
    if fold is not None:
        record["held_out"] = sorted(fold.validation)
    if path.is_file():
        _compare(read_yaml(path), record, output_dir)
    with complete_file(path) as file:
        file.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")


def read_record(train_dir: Path) -> dict[str, Any]:
    """What a training says that its weights are for, as `write_record` wrote it.

    Raises:
        ConfigError: There is no record, or a broken one.
    """
    path = train_dir / RECORD
    if not path.is_file():
        raise ConfigError(
            f"Expected {path}, in which a training says what its weights are for, found none"
        )
    record = read_yaml(path, "the record of a training")
    if not isinstance(record.get("inference"), dict) or not isinstance(record.get("data"), list):
        raise ConfigError(f"Expected inference and data in {path}, found {sorted(record)}")
    return record


def fold_of(record: Mapping[str, Any]) -> Fold | None:
    """The fold of a training, if it is one by folds."""
    held_out = record.get("held_out")
    return None if held_out is None else Fold(frozenset(held_out))


def _compare(began: Mapping[str, Any], record: Mapping[str, Any], output_dir: Path) -> None:
    settings = began.get("inference", {})
    for name, value in record["inference"].items():
        if name in settings and settings[name] != value:
            raise ConfigError(
                f"Expected {name} {settings[name]}, with which the training in {output_dir} "
                f"began, got {value}; another output_dir starts another training"
            )
    if began.get("held_out") != record.get("held_out"):
        raise ConfigError(
            f"Expected the fold with which the training in {output_dir} began, got another; "
            "another output_dir starts another training"
        )

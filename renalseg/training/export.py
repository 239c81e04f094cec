"""Makes a bundle of a training: its weights, and all that inference must know of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
import yaml

from renalseg.data.case_lists import labeled_cases
from renalseg.errors import ConfigError, InputError
from renalseg.inference.bundle import Bundle
from renalseg.inference.metadata import METADATA_FILE, read_metadata
from renalseg.inference.methods import LOCALIZER, TUMOR, read_yaml
from renalseg.runtime.checksums import write_manifest
from renalseg.runtime.staging import staging, sync_all
from renalseg.training.checkpoints import export_weights
from renalseg.training.history import best_of, read_history
from renalseg.training.limits import (
    SIZES,
    Outcome,
    choose_limits,
    thresholds_of,
    try_localizer,
)

RECORD = "export.yaml"
"""What a training leaves for its export: `inference`, the settings, and `data`, the sources."""

_INFERENCE = "configs/inference.yaml"
_WEIGHTS = "models/model.pt"
_COPIED = (_INFERENCE, "configs/evaluate.yaml", "configs/logging.conf", "LICENSE")
# Facts of the method, which other weights do not change; all else says who made which weights.
_OF_METHOD = (
    "schema", "required_packages_version", "supported_apps", "task", "data_type", "image_classes",
    "label_classes", "pred_classes", "intended_use", "references", "network_data_format",
)  # fmt: skip
_VERSION = "0.1.0"
_UNKNOWN = "not stated"


def write_record(output_dir: Path, inference: Mapping[str, Any], data: Any) -> None:
    """Writes the record of a training, or compares it with that of the training that it resumes.

    Args:
        output_dir: Of the training.
        inference: Names in the bundle's inference.yaml, "network_def::width" for nested ones, with
            the values that the weights are for.
        data: The source of the training, or several.

    Raises:
        ConfigError: The training began with other settings.
    """
    path = output_dir / RECORD
    names = [Path(str(one)).name for one in ([data] if isinstance(data, str | Path) else data)]
    record = {"inference": json.loads(json.dumps(inference)), "data": names}
    if path.is_file():
        began = read_yaml(path).get("inference", {})
        for name, value in record["inference"].items():
            if name in began and began[name] != value:
                raise ConfigError(
                    f"Expected {name} {began[name]}, with which the training in {output_dir} "
                    f"began, got {value}; another output_dir starts another training"
                )
    path.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")


def export_bundle(
    train_dir: Path, bundle: Path, out: Path, *, last: bool = False, validate: Path | None = None
) -> Path:
    """Writes a new bundle with the weights of a training.

    It has the settings of the training, a version, a model card and metadata of its own, and none
    of the scores and warnings of the bundle that it is made from.

    Args:
        train_dir: output_dir of the training.
        bundle: The bundle that was trained.
        out: The new bundle; nothing may be there.
        last: Whether to take the last weights instead of the best.
        validate: A KiTS folder or data list, whose held-out cases measure the bundle as whole CTs
            and set the limits of its postprocessing; None keeps those of the shipped weights.

    Returns:
        The new bundle, complete.

    Raises:
        ConfigError: `train_dir` holds no training that says what it is for, `bundle` is no bundle,
            or the weights do not fit it.
        InputError: `out` exists, its name does not say which stage it is, or no case validates.
    """
    prefix = next((p for p in (LOCALIZER, TUMOR) if bundle.name.startswith(p)), "")
    if not out.name.startswith(prefix) or out.name == prefix:
        raise InputError(f"Expected a folder with a name that begins with {prefix}, got {out}")
    if out.exists():
        raise InputError(f"Expected a new folder for the bundle, found that {out} is there already")
    record = _record(train_dir, bundle)
    out.parent.mkdir(parents=True, exist_ok=True)
    with staging(out.parent) as partial:
        new = partial.files / out.name
        for name in _COPIED:
            if (bundle / name).is_file():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle / name, new / name)
        _fill(new, train_dir, bundle, record, last)
        outcome = None if validate is None else _validate(new, validate)
        _describe(new, train_dir, bundle, record, outcome)
        write_manifest(new)
        sync_all(new)
        new.rename(out)
    return out


def replace_weights(train_dir: Path, bundle: Path, *, last: bool = False) -> Path:
    """Puts weights and settings of a training into the bundle that was trained.

    Its card, version and scores are left to its maintainer.

    Args:
        train_dir: output_dir of the training.
        bundle: The bundle that was trained.
        last: Whether to take the last weights instead of the best.

    Raises:
        ConfigError: As `export_bundle`.
    """
    record = _record(train_dir, bundle)
    with staging(bundle.parent) as partial:
        new = partial.files / bundle.name
        shutil.copytree(bundle / "configs", new / "configs")
        _fill(new, train_dir, bundle, record, last)
        for name in (_INFERENCE, _WEIGHTS):
            (bundle / name).parent.mkdir(exist_ok=True)
            (new / name).replace(bundle / name)
    return bundle


def set_value(text: str, name: str, value: Any, note: str | None = None) -> str:
    """Sets a value in the text of a config, whose comments stay.

    Args:
        text: YAML with each name and its value, in flow style, on a line of its own.
        name: Such as "spacing", or "network_def::width" for a nested one.
        value: The new one.
        note: Replaces the comment behind the value.

    Raises:
        ConfigError: There is no such line.
    """
    top, _, inner = name.partition("::")
    found = re.search(rf"^({re.escape(top)}: *)(.+?)( *#.*)?$", text, re.MULTILINE)
    if found is None:
        raise ConfigError(f"Expected a line with {top} in the inference.yaml of the bundle")
    if inner:
        value = yaml.safe_load(found[2]) | {inner: value}
    flow = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, width=10_000)
    comment = (found[3] or "") if note is None else f"  # {note}"
    line: str = found[1] + flow.strip()[1:-1] + comment
    return text[: found.start()] + line + text[found.end() :]


def _record(train_dir: Path, bundle: Path) -> dict[str, Any]:
    """What a training says that its weights are for; also that there is a bundle for them."""
    if not (bundle / _INFERENCE).is_file():
        raise ConfigError(f"Expected a bundle with {_INFERENCE}, found none at {bundle}")
    path = train_dir / RECORD
    if not path.is_file():
        raise ConfigError(
            f"Expected {path}, in which a training says what its weights are for, found none"
        )
    record = read_yaml(path, "the record of a training")
    if not isinstance(record.get("inference"), dict) or not isinstance(record.get("data"), list):
        raise ConfigError(f"Expected inference and data in {path}, found {sorted(record)}")
    return record


def _fill(new: Path, train_dir: Path, bundle: Path, record: Mapping[str, Any], last: bool) -> None:
    """Gives a bundle weights and settings, and tries whether they go together."""
    config = new / _INFERENCE
    text = config.read_text(encoding="utf-8")
    for name, value in record["inference"].items():
        text = set_value(text, name, value)
    config.write_text(text, encoding="utf-8")
    export_weights(train_dir, new / _WEIGHTS, last=last)
    if not (new / METADATA_FILE).is_file():
        shutil.copyfile(bundle / METADATA_FILE, new / METADATA_FILE)
    try:
        Bundle(new, torch.device("cpu"))
    except ConfigError as error:
        reason = str(error).replace(str(new), str(bundle))
        raise ConfigError(f"The weights of {train_dir} cannot be exported: {reason}") from error


def _validate(new: Path, source: Path) -> Outcome:
    """Measures a bundle on whole CTs, and gives it the limits that fit."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cases = labeled_cases(source, "validation")
    if not cases:
        raise InputError(f"Expected cases that validate in {source}, found none")
    if new.name.startswith(LOCALIZER):
        return try_localizer(Bundle(new, device), cases)
    config = new / _INFERENCE
    settings = read_yaml(config)
    size = next(name for name in SIZES if name in settings)
    bundles = {
        threshold: Bundle(new, device, overrides={size: 0.0, "threshold": threshold})
        for threshold in thresholds_of(settings)
    }
    outcome = choose_limits(bundles, cases)
    text = config.read_text(encoding="utf-8")
    for name, value in outcome.limits.items():
        note = f"the best of those tried on {len(cases)} whole CTs"
        text = set_value(text, size if name == "mm3" else name, value, note)
    config.write_text(text, encoding="utf-8")
    return outcome


def limits_of(bundle: Path) -> str:
    """The limits of the postprocessing of a bundle, for people; "" where it has none."""
    settings = read_yaml(bundle / _INFERENCE)
    return ", ".join(f"{n} {settings[n]}" for n in (*SIZES, "threshold") if n in settings)


def _describe(
    new: Path,
    train_dir: Path,
    bundle: Path,
    record: Mapping[str, Any],
    outcome: Outcome | None,
) -> None:
    """Writes metadata, model card and license of the data."""
    source = read_metadata(bundle)
    made_from = f"{bundle.name} {source.get('version', 'unknown')}"
    data = ", ".join(record["data"])
    rows = read_history(train_dir)
    best = best_of(rows) or {}
    scores = {
        f"{name}_validation_patches": round(value, 4)
        for name, value in best.items()
        if name.startswith("dice_")
    }
    metadata = {name: source[name] for name in _OF_METHOD if name in source}
    _fit_shape(metadata, record["inference"], read_yaml(bundle / _INFERENCE))
    metadata |= {
        "version": _VERSION,
        "changelog": {_VERSION: f"a training of {made_from}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "name": new.name,
        "description": f"Weights of a training of {made_from} on {data}",
        "authors": _UNKNOWN,
        "copyright": _UNKNOWN,
        "data_source": data,
        "eval_metrics": scores | dict(outcome.scores if outcome else {}),
    }
    (new / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    docs = new / "docs"
    docs.mkdir()
    settings = [(name.replace("::", "."), value) for name, value in record["inference"].items()]
    validated = [(f"Dice of {name[5:].split('_')[0]}", value) for name, value in scores.items()]
    measured = (
        f"In validation it reaches: {outcome.text}."
        if outcome
        else ("Nobody has measured it on whole CTs.")
    )
    limits = limits_of(new)
    if limits:
        origin = "were chosen there" if outcome else "are those of the shipped weights"
        measured += f" Its limits, {limits}, {origin}: smaller tumors count as kidney."
    card = [
        f"# {new.name}\n\nWeights of a training of {made_from}, whose card describes the method. "
        "Research only; not for diagnosis.",
        f"## Training\n\n{_table([('data', data), ('epochs', len(rows)), *settings])}",
        f"## Validation on patches\n\n{_table(validated)}" if scores else "",
        f"## Whole CTs\n\n{measured}",
    ]
    (docs / "README.md").write_text("\n\n".join(part for part in card if part) + "\n", "utf-8")
    terms = (
        f"The weights in {_WEIGHTS} were trained on: {data}.\nThey carry the terms of these data.\n"
    )
    (docs / "data_license.txt").write_text(terms, encoding="utf-8")


def _fit_shape(
    metadata: Mapping[str, Any], inference: Mapping[str, Any], before: Mapping[str, Any]
) -> None:
    """Carries a new size of the input of the network into its description."""
    formats = metadata.get("network_data_format", {})
    sides = [side for part in ("inputs", "outputs") for side in formats.get(part, {}).values()]
    for name, value in inference.items():
        for side in sides:
            if side.get("spatial_shape") == before.get(name):
                side["spatial_shape"] = value
    if inference.get("slices", before.get("slices")) != before.get("slices"):
        added = inference["slices"] - before["slices"]
        for side in formats["inputs"].values():
            side["num_channels"] += added
            side["channel_def"] = {str(i): f"channel {i}" for i in range(side["num_channels"])}


def _table(rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])

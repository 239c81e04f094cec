"""Makes a bundle of trainings: their weights, and all that inference must know of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from renalseg.data.case_lists import labeled_cases
from renalseg.errors import ConfigError, InputError
from renalseg.inference.bundle import Bundle
from renalseg.inference.metadata import METADATA_FILE
from renalseg.inference.methods import LOCALIZER, TUMOR, read_yaml
from renalseg.runtime.checksums import write_manifest
from renalseg.runtime.staging import staging, sync_all
from renalseg.training.card import describe
from renalseg.training.checkpoints import export_weights, join_weights
from renalseg.training.limits import Outcome, bundle_with, measure, size_name
from renalseg.training.record import fold_of, read_record

_INFERENCE = "configs/inference.yaml"
_WEIGHTS = "models/model.pt"
_COPIED = (_INFERENCE, "configs/evaluate.yaml", "configs/logging.conf", "LICENSE")


def export_bundle(
    train_dirs: Path | Sequence[Path],
    bundle: Path,
    out: Path,
    *,
    last: bool = False,
    validate: Path | None = None,
) -> Path:
    """Writes a new bundle with the weights of a training, or of those of several folds.

    It has the settings of the training, a version, a model card and metadata of its own, and none
    of the scores and warnings of the bundle that it is made from. Of several trainings it has all
    networks, and averages their probabilities (`renalseg.networks.Ensemble`).

    Args:
        train_dirs: output_dir of the training, or of each.
        bundle: The bundle that was trained.
        out: The new bundle; nothing may be there.
        last: Whether to take the last weights instead of the best.
        validate: A KiTS folder or data list, whose held-out cases measure the bundle as whole CTs
            and set the limits of its postprocessing; None keeps those of the shipped weights.
            Each of several trainings is measured on the cases that it held out.

    Returns:
        The new bundle, complete.

    Raises:
        ConfigError: A folder holds no training that says what it is for, the trainings have
            different settings, `bundle` is no bundle, or the weights do not fit it.
        InputError: `out` exists, its name does not say which stage it is, or no case validates.
    """
    train_dirs = [train_dirs] if isinstance(train_dirs, Path) else list(train_dirs)
    prefix = next((p for p in (LOCALIZER, TUMOR) if bundle.name.startswith(p)), "")
    if not out.name.startswith(prefix) or out.name == prefix:
        raise InputError(f"Expected a folder with a name that begins with {prefix}, got {out}")
    if out.exists():
        raise InputError(f"Expected a new folder for the bundle, found that {out} is there already")
    records = _records(train_dirs, bundle)
    out.parent.mkdir(parents=True, exist_ok=True)
    with staging(out.parent) as partial:
        new = partial.files / out.name
        for name in _COPIED:
            if (bundle / name).is_file():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle / name, new / name)
        weights = [
            export_weights(folder, partial.files / f"{number}.pt", last=last)
            for number, folder in enumerate(train_dirs)
        ]
        _fill(new, train_dirs, bundle, records[0]["inference"], weights)
        outcome = None if validate is None else _validate(new, bundle, records, weights, validate)
        describe(new, train_dirs, bundle, records, outcome)
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
    (record,) = _records([train_dir], bundle)
    with staging(bundle.parent) as partial:
        new = partial.files / bundle.name
        shutil.copytree(bundle / "configs", new / "configs")
        weights = [export_weights(train_dir, partial.files / "model.pt", last=last)]
        _fill(new, [train_dir], bundle, record["inference"], weights)
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


def as_ensemble(text: str, count: int) -> str:
    """Makes an ensemble of the network in the text of an inference.yaml.

    Args:
        text: As for `set_value`; an Activationsd in its postprocessing says what the logits are.
        count: Number of networks.

    Raises:
        ConfigError: There is no line with network_def, or no Activationsd.
    """
    config = yaml.safe_load(text)
    activation = next(
        (name for step in _steps(config) for name in ("sigmoid", "softmax") if step.get(name)), None
    )
    if activation is None or "network_def" not in config:
        raise ConfigError(
            "Expected network_def, and an Activationsd with sigmoid or softmax, in the "
            "inference.yaml of a bundle of several trainings"
        )
    ensemble = {"_target_": "renalseg.networks.Ensemble", "count": count, "activation": activation}
    return set_value(text, "network_def", ensemble | {"network": config["network_def"]})


def _steps(part: Any) -> list[dict[str, Any]]:
    """Every Activationsd in a config, at any depth."""
    if isinstance(part, list):
        return [step for one in part for step in _steps(one)]
    if not isinstance(part, dict):
        return []
    return [part] if part.get("_target_") == "Activationsd" else _steps(list(part.values()))


def _records(train_dirs: Sequence[Path], bundle: Path) -> list[dict[str, Any]]:
    """What trainings say that their weights are for; also that there is a bundle for them."""
    if not (bundle / _INFERENCE).is_file():
        raise ConfigError(f"Expected a bundle with {_INFERENCE}, found none at {bundle}")
    records = [read_record(folder) for folder in train_dirs]
    for folder, record in zip(train_dirs, records, strict=True):
        if record["inference"] != records[0]["inference"]:
            raise ConfigError(
                f"Expected trainings with the same settings, found {records[0]['inference']} in "
                f"{train_dirs[0]} and {record['inference']} in {folder}"
            )
    return records


def _fill(
    new: Path,
    train_dirs: Sequence[Path],
    bundle: Path,
    inference: Mapping[str, Any],
    weights: Sequence[Path],
) -> None:
    """Gives a bundle weights and settings, and tries whether they go together."""
    config = new / _INFERENCE
    text = config.read_text(encoding="utf-8")
    for name, value in inference.items():
        text = set_value(text, name, value)
    (new / _WEIGHTS).parent.mkdir(exist_ok=True)
    if len(weights) == 1:
        shutil.copyfile(weights[0], new / _WEIGHTS)
    else:
        text = as_ensemble(text, len(weights))
        join_weights(weights, new / _WEIGHTS)
    config.write_text(text, encoding="utf-8")
    if not (new / METADATA_FILE).is_file():
        shutil.copyfile(bundle / METADATA_FILE, new / METADATA_FILE)
    try:
        Bundle(new, torch.device("cpu"))
    except ConfigError as error:
        reason = str(error).replace(str(new), str(bundle))
        names = ", ".join(map(str, train_dirs))
        raise ConfigError(f"The weights of {names} cannot be exported: {reason}") from error


def _validate(
    new: Path,
    bundle: Path,
    records: Sequence[Mapping[str, Any]],
    weights: Sequence[Path],
    source: Path,
) -> Outcome:
    """Measures the networks of a bundle on whole CTs, and gives it the limits that fit."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folds = []
    for record, file in zip(records, weights, strict=True):
        cases = labeled_cases(source, "validation", fold_of(record))
        if not cases:
            raise InputError(f"Expected cases that validate in {source}, found none")
        folds.append((bundle_with(bundle, device, record["inference"], file), cases))
    config = new / _INFERENCE
    settings = read_yaml(config)
    outcome = measure(new.name, settings, folds)
    text = config.read_text(encoding="utf-8")
    for name, value in outcome.limits.items():
        note = f"the best of those tried on {outcome.cases} whole CTs"
        text = set_value(text, size_name(settings) if name == "mm3" else name, value, note)
    config.write_text(text, encoding="utf-8")
    return outcome

"""The metadata, model card and data terms of a bundle that a training made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch

from renalseg.inference.metadata import METADATA_FILE, read_metadata
from renalseg.inference.methods import read_yaml
from renalseg.training.history import Row, best_of, read_history
from renalseg.training.limits import SIZES, Outcome

# Facts of the method, which other weights do not change; all else says who made which weights.
_OF_METHOD = (
    "schema", "required_packages_version", "supported_apps", "task", "data_type", "image_classes",
    "label_classes", "pred_classes", "intended_use", "references", "network_data_format",
)  # fmt: skip
_INFERENCE, _WEIGHTS = "configs/inference.yaml", "models/model.pt"
_VERSION = "0.1.0"
_UNKNOWN = "not stated"


def limits_of(bundle: Path) -> str:
    """The limits of the postprocessing of a bundle, for people; "" where it has none."""
    settings = read_yaml(bundle / _INFERENCE)
    return ", ".join(f"{n} {settings[n]}" for n in (*SIZES, "threshold") if n in settings)


def describe(
    new: Path,
    train_dirs: Sequence[Path],
    bundle: Path,
    records: Sequence[Mapping[str, Any]],
    outcome: Outcome | None,
) -> None:
    """Writes metadata, model card and license of the data.

    Args:
        new: The bundle, with settings and weights.
        train_dirs: output_dir of each of its trainings.
        bundle: What was trained.
        records: Of the trainings.
        outcome: What it reached on whole CTs, if that was measured.
    """
    source = read_metadata(bundle)
    made_from = f"{bundle.name} {source.get('version', 'unknown')}"
    data = ", ".join(dict.fromkeys(name for record in records for name in record["data"]))
    inference = records[0]["inference"]
    histories = [read_history(folder) for folder in train_dirs]
    scores = _patch_scores(histories)
    metadata = {name: source[name] for name in _OF_METHOD if name in source}
    _fit_shape(metadata, inference, read_yaml(bundle / _INFERENCE))
    what = "a training" if len(records) == 1 else f"{len(records)} trainings"
    whole = {f"{k}_validation_cts": v for k, v in (outcome.scores if outcome else {}).items()}
    metadata |= {
        "version": _VERSION,
        "changelog": {_VERSION: f"{what} of {made_from}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "name": new.name,
        "description": f"Weights of {what} of {made_from} on {data}",
        "authors": _UNKNOWN,
        "copyright": _UNKNOWN,
        "data_source": data,
        "eval_metrics": scores | whole,
    }
    (new / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    docs = new / "docs"
    docs.mkdir()
    settings = [(name.replace("::", "."), value) for name, value in inference.items()]
    if len(records) > 1:
        settings.append(("networks", f"{len(records)}, whose probabilities are averaged"))
    epochs = ", ".join(str(len(rows)) for rows in histories)
    validated = [(f"Dice of {name[5:].split('_')[0]}", value) for name, value in scores.items()]
    card = [
        f"# {new.name}\n\nWeights of {what} of {made_from}, whose card describes the method. "
        "Research only; not for diagnosis.",
        f"## Training\n\n{_table([('data', data), ('epochs', epochs), *settings])}",
        f"## Validation on patches\n\n{_table(validated)}" if scores else "",
        f"## Whole CTs\n\n{_measured(new, len(records), outcome)}",
        f"## Train it on\n\n{_trained_on(bundle, len(records))}",
    ]
    (docs / "README.md").write_text("\n\n".join(part for part in card if part) + "\n", "utf-8")
    terms = (
        f"The weights in {_WEIGHTS} were trained on: {data}.\nThey carry the terms of these data.\n"
    )
    (docs / "data_license.txt").write_text(terms, encoding="utf-8")


def _patch_scores(histories: Sequence[Sequence[Row]]) -> dict[str, float]:
    """The mean Dice of the best epoch of each training, by structure."""
    bests = [best_of(rows) or {} for rows in histories]
    names = [name for name in bests[0] if name.startswith("dice_")]
    return {
        f"{name}_validation_patches": round(float(np.mean([best[name] for best in bests])), 4)
        for name in names
        if all(name in best for best in bests)
    }


def _measured(new: Path, count: int, outcome: Outcome | None) -> str:
    text = "Nobody has measured it on whole CTs."
    if outcome is not None:
        each = ", each network on the cases that it held out" if count > 1 else ""
        text = f"In validation it reaches: {outcome.text}{each}."
    if limits := limits_of(new):
        origin = "were chosen there" if outcome else "are those of the shipped weights"
        text += f" Its limits, {limits}, {origin}: smaller tumors count as kidney."
    return text


def _trained_on(bundle: Path, count: int) -> str:
    if count > 1:
        return "The averaged networks cannot be trained together; train them one by one."
    return (
        f"This bundle holds what inference needs. `{bundle.name}` trains from its weights: "
        f"`renalseg train bundles/{bundle.name} OUT --set start_from={_WEIGHTS}`, with the "
        "settings above."
    )


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

"""Model folders of nnU-Net v2: what their files say, before nnU-Net itself is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError
from renalseg.inference.foreign import structures
from renalseg.volumes.turn import check_axes

PACKAGE = "nnunetv2"
KNOBS: Mapping[str, Any] = {
    **structures.KNOBS,
    "folds": None,  # numbers of the folds that run, or [all]; None: all that there are
    "checkpoint": "checkpoint_final.pth",
    "step_size": 0.5,  # of neighboring tiles, as a share of a tile
    "mirroring": False,  # the mean over mirrored tiles, which takes up to eight times as long
}
_ALL = "all"  # of nnU-Net's names for folds: trained with every case
_EXPECTED = (
    "a model folder of nnU-Net v2, with dataset.json, plans.json and fold_*/checkpoint_final.pth"
)
_CANONICAL = "RAS"
_APART = 1.1  # a spacing larger than the others by this factor is that of the slices


def version(folder: Path) -> str:
    """Returns the version of nnunetv2, which a model folder does not say.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise ConfigError(
            f"Expected the package {PACKAGE} for the model in {folder}, found none: "
            "pip install 'renalseg[nnunet]'"
        )
    return importlib.metadata.version(PACKAGE)


def files(folder: Path) -> list[Path]:
    """Lists the files that decide what a model finds, in a fixed order.

    Raises:
        ConfigError: The folder is no model folder of nnU-Net v2.
    """
    content = [folder / "dataset.json", folder / "plans.json"]
    checkpoints = sorted(folder.glob("fold_*/*.pth"))
    absent = [path.name for path in content if not path.is_file()]
    if absent:
        inner = sorted(path.parent for path in folder.glob("*/plans.json"))
        advice = f"; there is one in {inner[0]}" if inner else ""
        raise ConfigError(
            f"Expected {_EXPECTED}, found no {' and no '.join(absent)} in {folder}{advice}"
        )
    if not checkpoints:
        raise ConfigError(f"Expected {_EXPECTED}, found no checkpoint in {folder}")
    return [*content, *checkpoints]


def config(folder: Path) -> dict[str, Any]:
    """Returns what can be set in a model besides `KNOBS`: nothing."""
    return {}


def label_values(dataset: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """Gives the value in label maps of each name in a dataset.json.

    A name may stand for a region of several labels. nnU-Net then paints the regions in their order,
    each with the value that "regions_class_order" has for it.

    Raises:
        ConfigError: There are no such names.
    """
    labels: Any = dataset.get("labels")
    order: Any = dataset.get("regions_class_order")
    try:
        if any(isinstance(value, list) and len(value) > 1 for value in labels.values()):
            regions = [name for name, value in labels.items() if value not in (0, [0])]
            regions = [name for name in regions if name != "ignore"]
            return dict(zip(regions, map(int, order), strict=True))
        flat = {
            name: value[0] if isinstance(value, list) else value for name, value in labels.items()
        }
        return {name: int(value) for name, value in flat.items() if name != "ignore"}
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected labels with their values in {folder / 'dataset.json'}, found {labels!r}"
        ) from error


def training_axes(plans: Mapping[str, Any], given: Any, folder: Path) -> str:
    """Finds out where the axes of the training files pointed, which nnU-Net does not change.

    Its plans do not say it, unless its reader turned the files to RAS. RAS is also what most files
    have; files with other directions of the same axes were mirrored in training as a rule.

    Args:
        plans: The plans.json.
        given: What a user says.
        folder: Of the model, for messages.

    Raises:
        ConfigError: That is none, or nothing is said and slices were along another axis than the
            last.
    """
    if given is not None:
        return check_axes(given)
    spacing = list(plans.get("original_median_spacing_after_transp") or [])
    order = list(plans.get("transpose_forward") or [0, 1, 2])
    turned = str(plans.get("image_reader_writer", "")).endswith("WithReorient")
    ranked = sorted(spacing)
    if not turned and len(ranked) == 3 and ranked[2] > _APART * ranked[1]:
        axis = order[spacing.index(ranked[2])]
        if axis != 0:  # SimpleITK's arrays begin with the last axis of a file
            raise ConfigError(
                "Expected a model that was trained with slices along the last axis of the files, "
                f"found another in {folder / 'plans.json'}: say where the axes of its files "
                "point, as in --set tumor.axes=IPL, which are those of KiTS"
            )
    return _CANONICAL


def require_one_channel(dataset: Mapping[str, Any], folder: Path) -> None:
    """Refuses a model that takes other images than CT alone.

    Raises:
        ConfigError: It has more channels than one, or does not say it.
    """
    channels = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(channels, dict) or len(channels) != 1:
        raise ConfigError(
            f"Expected a model of nnU-Net with one channel, CT, found the channels {channels!r} in "
            f"{folder / 'dataset.json'}"
        )


def choose_folds(folder: Path, wanted: Any, checkpoint: str) -> tuple[int | str, ...]:
    """Chooses the folds that run.

    Args:
        folder: The model folder.
        wanted: Numbers, or one of them, or "all", which was trained with every case; None for
            those that there are, "all" only where there is no other.
        checkpoint: Name of the checkpoint, which each fold must have.

    Raises:
        ConfigError: There are no such folds.
    """
    found = sorted(
        path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{checkpoint}")
    )
    have: list[int | str] = [int(name) for name in found if name.isdecimal()]
    if _ALL in found and (wanted is not None or not have):
        have.append(_ALL)
    chosen = have if wanted is None else list(wanted) if isinstance(wanted, list) else [wanted]
    if not chosen or not set(chosen) <= set(have):
        others = sorted({path.name for path in folder.glob("fold_*/*.pth")})
        raise ConfigError(
            f"Expected fold_*/{checkpoint} in {folder} for the folds {chosen or 'of a model'}, "
            f"found the folds {found} and the checkpoints {others}"
        )
    return tuple(chosen)

"""The kinds of models from elsewhere, by the names that `renalseg.inference.references` has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from renalseg.inference.foreign import nnunet_folder, zoo_folder
from renalseg.inference.metadata import FINGERPRINT
from renalseg.inference.references import BUNDLE, NNUNET, Reference
from renalseg.runtime.checksums import sha256_of

if TYPE_CHECKING:
    from renalseg.inference.foreign.stage import ForeignModel, ForeignStage

LOCALIZE = "localizer"
_KINDS: Mapping[str, Any] = {NNUNET: nnunet_folder, BUNDLE: zoo_folder}


def describe_foreign(reference: Reference) -> str:
    """Returns name, version and fingerprint, as `renalseg.inference.metadata.describe_bundle` does.

    Raises:
        ConfigError: There is no such model, or what runs it is not installed.
    """
    version = _KINDS[reference.kind].version(reference.folder)
    digest = hashlib.sha256("".join(map(sha256_of, foreign_files(reference))).encode())
    return f"{reference.name} {version} {digest.hexdigest()[:FINGERPRINT]}"


def foreign_files(reference: Reference) -> list[Path]:
    """Lists the files that decide what a model finds.

    Raises:
        ConfigError: There is no such model.
    """
    found: list[Path] = _KINDS[reference.kind].files(reference.folder)
    return found


def foreign_knobs(reference: Reference) -> dict[str, Any]:
    """Returns the names of what can be set in a model, and their values.

    Raises:
        ConfigError: There is no such model.
    """
    kind = _KINDS[reference.kind]
    return {**kind.config(reference.folder), **kind.KNOBS}


def load_foreign(
    references: Mapping[str, Reference],
    values: Mapping[str, Mapping[str, Any]],
    device: torch.device,
    progress: bool,
) -> dict[str, ForeignStage]:
    """Loads the models from elsewhere; one that has two stages alike is loaded once.

    Args:
        references: The models of all stages, by stage; those of RenalSeg are left out.
        values: What is set in them, by stage; names that a model does not know do not count.
        device: Where they run.
        progress: Whether they show a bar.

    Raises:
        ConfigError: There is no such model, it cannot be loaded, or does not find what its stage
            is for.
    """
    # MONAI is imported only to run a model
    from renalseg.inference.foreign.stage import ForeignStage, Remembering

    own: dict[str, dict[str, Any]] = {}
    for stage, reference in references.items():
        if reference.kind:
            known = foreign_knobs(reference)
            given = {
                name: value for name, value in values[stage].items() if name.split("::")[0] in known
            }
            own[stage] = {**_KINDS[reference.kind].KNOBS, **given}
    margins = {stage: knobs.pop("margin_mm") for stage, knobs in own.items()}
    keys = {stage: f"{references[stage]} {sorted(knobs.items())}" for stage, knobs in own.items()}
    models: dict[str, ForeignModel] = {}
    for stage, key in keys.items():
        if key not in models:
            load = loader_of(references[stage].kind)
            model = load(references[stage].folder, device, progress, own[stage])
            shared = list(keys.values()).count(key) > 1
            models[key] = Remembering(model) if shared else model
    return {
        stage: ForeignStage(models[key], localizer=stage == LOCALIZE, margin_mm=margins[stage])
        for stage, key in keys.items()
    }


def loader_of(kind: str) -> Callable[..., ForeignModel]:
    """Returns what loads a model of a kind."""
    if kind == NNUNET:
        from renalseg.inference.foreign.nnunet import NnUNet

        return NnUNet
    from renalseg.inference.foreign.zoo import ZooBundle

    return ZooBundle

"""Which method runs, where its bundles lie, and on what device."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml

from renalseg.errors import ConfigError
from renalseg.inference.choice import Choice
from renalseg.inference.metadata import describe_bundle
from renalseg.inference.methods import (
    BUNDLES,
    LOCALIZER,
    TUMOR,
    Stages,
    compose_name,
    default_numbers,
    find_method,
)
from renalseg.inference.overrides import settle_overrides
from renalseg.limits import Numbers
from renalseg.runtime.environment import switch
from renalseg.volumes.files import FORMATS

DEFAULT_METHOD = "sehdc+sehdc+msvnet"  # best outlines, fewest false tumors; see the README
MESHES = ("stl", "obj", "glb")
OF_ANY_CT = (*FORMATS, "masks", "seg.nrrd", *MESHES)  # what can be written of it
OUTPUTS = ("seg", "labelmap", "rtstruct", "sr", "pdf", "sc", *OF_ANY_CT)  # of a DICOM study
DEFAULT_OUTPUTS = "seg,sr,pdf"  # of a volume: a label map in its own format
_MESH_PACKAGES = {"skimage": "scikit-image", "trimesh": "trimesh"}  # their modules and names
_OF_THE_PACKAGE = frozenset({"application", "resources"})  # read by tools.image.manifests


@dataclass(frozen=True)
class Settings:
    """The choices of a run.

    Attributes:
        choice: The networks.
        overlay: Folder that gets a picture of the result, if any.
        report: Folder that gets a page of the result, if any.
        allow_gaps: Whether slices may be missing away from the kidneys.
        series: UID, number or description of the series to take; None for the one that suits best.
        outputs: What is written: "seg" and "labelmap" (segmentations, BINARY and LABELMAP), "sr"
            (structured report), "pdf" (report), "sc" (picture as secondary capture), "rtstruct"
            (contours); "nifti", "nrrd" and "mha" (label maps), "masks" (a NIfTI file for each
            segment), "seg.nrrd" (a segmentation of 3D Slicer), "stl" and "obj" (a surface for each
            segment), "glb" (a scene of them).
        empty_frames: Whether segmentations also hold the frames in which there is nothing.
    """

    choice: Choice
    overlay: Path | None = None
    report: Path | None = None
    allow_gaps: bool = False
    series: str | None = None
    outputs: tuple[str, ...] = tuple(DEFAULT_OUTPUTS.split(","))
    empty_frames: bool = False

    def of_volume(self, suffix: str) -> tuple[str, ...]:
        """Returns what of `OF_ANY_CT` is written of a volume.

        Args:
            suffix: Of its file; by default a label map is written in the same format.

        Raises:
            ConfigError: Only DICOM objects are asked for, which refer to slices in DICOM.
        """
        files = tuple(name for name in self.outputs if name in OF_ANY_CT)
        if files or not self.outputs:
            return files
        if self.outputs != tuple(DEFAULT_OUTPUTS.split(",")):
            raise ConfigError(
                f"Expected outputs among {', '.join(OF_ANY_CT)} for a volume, got "
                f"{','.join(self.outputs)!r}: DICOM objects refer to the slices of a DICOM series"
            )
        return tuple(name for name in FORMATS if FORMATS[name] == suffix) or ("nifti",)

    @classmethod
    def resolve(
        cls,
        *,
        method: str | None = None,
        localizer: str | None = None,
        tumor: str | None = None,
        device: str | None = None,
        bundles: str | Path | None = None,
        overlay: str | Path | None = None,
        report: str | Path | None = None,
        allow_gaps: bool | None = None,
        series: str | None = None,
        outputs: str | None = None,
        empty_frames: bool | None = None,
        overrides: Mapping[str, Any] | None = None,
        config: str | Path | None = None,
    ) -> Settings:
        """Settles the choices: an argument before the environment, before a file, before a default.

        Args:
            method: Name of a method, see `renalseg.inference.methods`, or of two whose bundles run,
                such as "sehdc+msvnet", of which the first finds the kidneys; or of three, of which
                the second outlines them again with its tumor bundle (RENALSEG_METHOD).
            localizer: Name of a kidney bundle, such as "kidney_mrb", instead of the method's; or of
                the method that has it (RENALSEG_LOCALIZER).
            tumor: The same of a tumor bundle (RENALSEG_TUMOR).
            device: "auto", "cpu", "cuda" or "cuda:<n>" (RENALSEG_DEVICE).
            bundles: Folder with the bundles (RENALSEG_BUNDLES, HOLOSCAN_MODEL_PATH).
            overlay: Folder for a picture of the result.
            report: Folder for a page of the result.
            allow_gaps: Process series in which slices are missing away from the kidneys
                (RENALSEG_ALLOW_GAPS).
            series: UID, number or description of the series to take of each study, instead of the
                one that suits best (RENALSEG_SERIES).
            outputs: What is written, such as "seg,sr,pdf" (RENALSEG_OUTPUTS).
            empty_frames: Also write the empty frames of segmentations (RENALSEG_EMPTY_FRAMES).
            overrides: Values to set in the bundles and in the numbers of the method, by names as
                `renalseg.inference.overrides` describes them, such as {"threshold": 0.3}.
            config: YAML file with some of these names.

        Raises:
            ConfigError: A bundle, device, output or name to set does not exist; the message lists
                those that do. Or a bundle's metadata cannot be read.
        """
        given = {
            "method": method,
            "localizer": localizer,
            "tumor": tumor,
            "device": device,
            "series": series,
            "outputs": outputs,
            "empty_frames": None if empty_frames is None else str(empty_frames),
            "allow_gaps": None if allow_gaps is None else str(allow_gaps),
        }
        environment = {name: os.environ.get(f"RENALSEG_{name.upper()}") for name in given}
        sources: tuple[Mapping[str, str | None], ...] = (given, environment, _read(config))

        def pick(*names: str, default: str) -> str:
            """The first source that has one of the names decides, by the first name it has."""
            values = (source.get(name) for source in sources for name in names)
            return next((value for value in values if value), default)

        folder = bundle_folder(bundles)
        first = pick("localizer", "method", default=DEFAULT_METHOD)
        second = pick("tumor", "method", default=DEFAULT_METHOD)
        stages = _combined(folder, _stages(folder, first), _stages(folder, second))
        name, numbers = _named(folder, (first, second, compose_name(stages)), stages)
        choice = Choice(
            bundles=folder,
            localizer=stages[0],
            refiner=stages[1],
            tumor=stages[2],
            name=name,
            numbers=numbers,
            device=_device(pick("device", default="auto")),
        )
        folders = dict(zip(choice.named_stages, choice.folders, strict=True))
        settled, numbers = settle_overrides(overrides or {}, folders, choice.numbers)
        described = tuple(map(describe_bundle, choice.folders))
        choice = replace(choice, networks=described, numbers=numbers, overrides=settled)
        return cls(
            choice.overridden(settled),
            overlay=Path(overlay) if overlay else None,
            report=Path(report) if report else None,
            allow_gaps=switch("allow_gaps", pick("allow_gaps", default="false")),
            series=pick("series", default="") or None,
            outputs=_outputs(pick("outputs", default=DEFAULT_OUTPUTS)),
            empty_frames=switch("empty_frames", pick("empty_frames", default="false")),
        )


def _outputs(names: str) -> tuple[str, ...]:
    """The outputs that a list such as "seg,sr" names, in the order in which they are made."""
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    unknown = sorted(wanted - set(OUTPUTS))
    if unknown or not wanted:
        raise ConfigError(
            f"Expected outputs among {', '.join(OUTPUTS)}, as in {DEFAULT_OUTPUTS}, got {names!r}"
        )
    if "sr" in wanted and not wanted & {"seg", "labelmap"}:
        raise ConfigError(f"Expected seg or labelmap with sr, which refers to it, got {names!r}")
    missing = [package for name, package in _MESH_PACKAGES.items() if find_spec(name) is None]
    if missing and wanted & set(MESHES):
        raise ConfigError(
            f"Expected {' and '.join(missing)} for stl, obj and glb, found none: "
            "pip install 'renalseg[mesh]'"
        )
    return tuple(name for name in OUTPUTS if name in wanted)


def _stages(folder: Path, name: str) -> Stages:
    """What a method's file says, or the methods that a name such as "sehdc+msvnet" holds."""
    method = find_method(folder, name)
    if method is not None:
        return method.stages
    parts = name.split("+")
    if len(parts) > 3:
        raise ConfigError(f"Expected up to three methods, as in sehdc+sehdc+msvnet, got {name!r}")
    return parts[0], parts[1] if len(parts) == 3 else None, parts[-1]


def _combined(folder: Path, first: Stages, second: Stages) -> Stages:
    """The localizer of one method and the tumor bundle of another, by the names of their folders.

    A refiner stays as long as another stage of its method is used.
    """
    refiner = second[1] or first[1]
    return (
        _bundle(folder, LOCALIZER, first[0]),
        _bundle(folder, TUMOR, refiner) if refiner else None,
        _bundle(folder, TUMOR, second[2]),
    )


def _named(folder: Path, names: Sequence[str], stages: Stages) -> tuple[str, Numbers]:
    """The method of some names whose file has these stages; else none, and the shared numbers."""
    for method in (find_method(folder, name) for name in names):
        if method is not None and method.stages == stages:
            return method.name, method.numbers
    return "", default_numbers(folder)


def _read(config: str | Path | None) -> Mapping[str, str | None]:
    if config is None:
        return {}
    path = Path(config)
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"Expected a YAML file with the settings, got {path}: {error}") from error
    known = {"method", "localizer", "tumor", "device", "series"}
    known |= {"outputs", "empty_frames", "allow_gaps"}
    if not isinstance(stored, dict) or not set(stored) <= known | _OF_THE_PACKAGE:
        raise ConfigError(f"Expected the settings {sorted(known)} in {path}, found {stored!r}")
    return {
        name: None if value is None else _text(value)
        for name, value in stored.items()
        if name in known
    }


def _text(value: object) -> str:
    """A value of a file as the environment would give it; YAML also has lists and switches."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def bundle_folder(given: str | Path | None = None) -> Path:
    """The folder with the bundles: the one that is given, of the environment, or the default."""
    return Path(
        given
        or os.environ.get("RENALSEG_BUNDLES")
        or os.environ.get("HOLOSCAN_MODEL_PATH")
        or BUNDLES
    )


def available_methods(folder: Path) -> list[str]:
    """The methods of which a folder has both bundles, with their weights."""
    localizers = {name.removeprefix(LOCALIZER) for name in _bundles(folder, LOCALIZER)}
    return sorted(localizers & {name.removeprefix(TUMOR) for name in _bundles(folder, TUMOR)})


def _bundles(folder: Path, prefix: str) -> list[str]:
    """Names of the bundles that are there with their weights."""
    return sorted(
        path.parent.parent.name
        for path in folder.glob(f"{prefix}*/models/model.pt")
        if (path.parents[1] / "configs" / "inference.yaml").is_file()
    )


def _bundle(folder: Path, prefix: str, name: str) -> str:
    """The name of a bundle that is there with its weights, from its own name or its method's."""
    found = _bundles(folder, prefix)
    if not found:
        raise ConfigError(f"Expected bundles {prefix}<method> in {folder}, found none")
    full = name if name.startswith(prefix) else prefix + name
    if full not in found:
        kind = prefix.rstrip("_")
        known = ", ".join(found)
        raise ConfigError(f"Unknown method or {kind} bundle {name!r}; there are: {known}")
    return full


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"Expected the device auto, cpu, cuda or cuda:<n>, got {name!r}")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"Expected an available device, got {name!r}; CUDA devices: {count}")
    return device

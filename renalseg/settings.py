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
from renalseg.inference.choice import Choice, Member
from renalseg.inference.foreign.kinds import describe_foreign
from renalseg.inference.foreign.structures import parse_labels
from renalseg.inference.metadata import describe_bundle
from renalseg.inference.methods import (
    BUNDLES,
    LOCALIZER,
    STAGES,
    TUMOR,
    Method,
    Stages,
    compose_name,
    default_numbers,
    find_method,
)
from renalseg.inference.overrides import settle_overrides
from renalseg.inference.references import Reference, is_foreign, locate
from renalseg.limits import Numbers
from renalseg.runtime.environment import switch
from renalseg.volumes.files import FORMATS

DEFAULT_METHOD = "unet"  # as good on real patients as three stages: ADR 14
MESHES = ("stl", "obj", "glb")
OF_ANY_CT = ("probability", *FORMATS, "masks", "seg.nrrd", *MESHES)  # what can be written of it
OUTPUTS = ("seg", "labelmap", "rtstruct", "sr", "fhir", "pdf", "sc", *OF_ANY_CT)  # of a DICOM study
ENSEMBLE = "|"  # between the methods of an ensemble
DEFAULT_OUTPUTS = "seg,sr,pdf"  # of a volume: a label map in its own format
# By extra: what it is for, the same in words, and its packages by their modules.
_EXTRAS = {
    "mesh": (MESHES, "stl, obj and glb", {"skimage": "scikit-image", "trimesh": "trimesh"}),
    "fhir": (("fhir",), "fhir", {"fhir": "fhir.resources"}),
}
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
            (structured report), "fhir" (the same as FHIR R4), "pdf" (report), "sc" (picture as
            secondary capture), "rtstruct" (contours), "probability" (of lesions, a segmentation
            that is FRACTIONAL, of a volume NIfTI); "nifti", "nrrd" and "mha" (label maps), "masks"
            (a NIfTI file for each segment), "seg.nrrd" (a segmentation of 3D Slicer), "stl" and
            "obj" (a surface for each segment), "glb" (a scene of them).
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

    def not_of_volume(self) -> tuple[str, ...]:
        """Returns what was asked for and is not written of a volume; none by default."""
        if self.outputs == tuple(DEFAULT_OUTPUTS.split(",")):
            return ()
        return tuple(name for name in self.outputs if name not in OF_ANY_CT)

    @classmethod
    def resolve(
        cls,
        *,
        method: str | None = None,
        localizer: str | None = None,
        tumor: str | None = None,
        labels: str | None = None,
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
                the second outlines them again with its tumor bundle; or of an ensemble, such as
                "unet|sehdc", whose methods look into the kidneys of the first (RENALSEG_METHOD).
            localizer: Name of a kidney bundle, such as "kidney_mrb", instead of the method's; or of
                the method that has it; or a model from elsewhere, such as "nnunet:PATH"
                (RENALSEG_LOCALIZER).
            tumor: The same of a tumor bundle (RENALSEG_TUMOR).
            labels: What the labels of a model from elsewhere mean, such as
                "kidney=1,tumor=2,cyst=3", where its own names do not say it (RENALSEG_LABELS).
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
            "labels": labels,
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
        first, *_ = pick("localizer", "method", default=DEFAULT_METHOD).split(ENSEMBLE)
        second, *others = pick("tumor", "method", default=DEFAULT_METHOD).split(ENSEMBLE)
        stages, values = _combined(folder, _method(folder, first), _method(folder, second))
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
        if others:
            choice, more = _ensemble(choice, others)
            values |= more
        values |= _labels(pick("labels", default=""), choice.references)
        values |= overrides or {}
        settled, numbers = settle_overrides(values, choice.references, choice.numbers)
        described = tuple(map(_describe, choice.references.values()))
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
    if "fhir" in wanted and "sr" not in wanted:
        raise ConfigError(f"Expected sr with fhir, which is mapped from it, got {names!r}")
    for extra, (outputs, called, packages) in _EXTRAS.items():
        missing = [package for module, package in packages.items() if find_spec(module) is None]
        if missing and wanted & set(outputs):
            raise ConfigError(
                f"Expected {' and '.join(missing)} for {called}, found none: "
                f"pip install 'renalseg[{extra}]'"
            )
    return tuple(name for name in OUTPUTS if name in wanted)


def _method(folder: Path, name: str) -> Method:
    """A method's file, or the models that a name such as "sehdc+msvnet" holds."""
    name = locate(name, Path())
    method = find_method(folder, name)
    if method is not None:
        return method
    parts = [name] if is_foreign(name) else name.split("+")
    if len(parts) > 3:
        raise ConfigError(f"Expected up to three methods, as in sehdc+sehdc+msvnet, got {name!r}")
    stages = parts[0], parts[1] if len(parts) == 3 else None, parts[-1]
    return Method(name, stages, default_numbers(folder))


def _combined(folder: Path, first: Method, second: Method) -> tuple[Stages, dict[str, Any]]:
    """The localizer of one method and the tumor model of another, and what they set in them.

    A refiner stays as long as another stage of its method is used, unless the tumor model is from
    elsewhere: a weaker one would decide which of its tumors count.
    """
    kept = second if second.stages[1] or is_foreign(second.stages[2]) else first
    refiner = kept.stages[1]
    stages = (
        _model(folder, LOCALIZER, first.stages[0]),
        _model(folder, TUMOR, refiner) if refiner else None,
        _model(folder, TUMOR, second.stages[2]),
    )
    values = {
        f"{stage}.{name}": value
        for stage, method in zip(STAGES, (first, kept, second), strict=True)
        for name, value in method.values.get(stage, {}).items()
    }
    return stages, values


def _ensemble(choice: Choice, names: Sequence[str]) -> tuple[Choice, dict[str, Any]]:
    """An ensemble of a method and others, and what these set in their models.

    Its numbers are those that all methods share, whatever its members have.
    """
    folder = choice.bundles
    members, called = [Member(choice.refiner, choice.tumor)], [choice.algorithm]
    values: dict[str, Any] = {}
    for number, name in enumerate(names, start=2):
        method = _method(folder, name)
        _, refiner, tumor = method.stages
        member = Member(
            _model(folder, TUMOR, refiner) if refiner else None, _model(folder, TUMOR, tumor)
        )
        if member in members:
            raise ConfigError(
                f"Expected different methods in an ensemble, got {name!r} beside the same stages"
            )
        members.append(member)
        one = replace(choice, name="", refiner=member.refiner, tumor=member.tumor)
        stages = (choice.localizer, *member)
        called.append(_named(folder, (name, one.algorithm), stages)[0] or one.algorithm)
        values |= {
            f"{stage}_{number}.{knob}": value
            for stage in member._fields
            for knob, value in method.values.get(stage, {}).items()
        }
    joint = replace(
        choice,
        name=ENSEMBLE.join(called),
        numbers=default_numbers(folder),
        others=tuple(members[1:]),
    )
    return joint, values


def _labels(text: str, references: Mapping[str, Reference]) -> dict[str, Any]:
    """The labels of a model from elsewhere, as values that are set in it."""
    if not text:
        return {}
    foreign = {stage: reference for stage, reference in references.items() if reference.kind}
    if len(set(foreign.values())) != 1:
        raise ConfigError(
            f"Expected one model from elsewhere with labels, such as --tumor nnunet:PATH, found "
            f"{len(set(foreign.values()))}; of several, each has its own: --set tumor.labels=..."
        )
    return {f"{stage}.labels": parse_labels(text) for stage in foreign}


def _describe(reference: Reference) -> str:
    return describe_foreign(reference) if reference.kind else describe_bundle(reference.folder)


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
    known = {"method", "localizer", "tumor", "labels", "device", "series"}
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


def _model(folder: Path, prefix: str, name: str) -> str:
    """The name of a bundle that is there with its weights, from its own name or its method's.

    A reference to a model from elsewhere stays as it is.
    """
    if is_foreign(name):
        return name
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

"""Values that a user sets for one run, in place of those of the bundles and the method's file.

A name is a knob of a bundle's inference.yaml (``threshold``), after a stage or bundle where several
know it (``tumor.threshold``, ``tumor_msvnet.threshold``), or a number of the method's file
(``plausibility.tumor.large_share``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import yaml

from renalseg.errors import ConfigError
from renalseg.inference.foreign.kinds import foreign_knobs
from renalseg.inference.methods import build_numbers, read_yaml
from renalseg.inference.references import Reference
from renalseg.limits import Numbers

_SEPARATOR = "::"  # MONAI's, between the names of nested values
# A run settles these itself, or does not use them.
_PLUMBING = {"imports", "bundle_root", "device", "progress", "dataset", "evaluator", "run"}
_PLUMBING |= {"dataset_dir", "kidney_dir", "output_dir"}
_SECTIONS = tuple(field.name for field in fields(Numbers))


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Reads texts such as "threshold=0.3"; a value is YAML, and a later one wins.

    Raises:
        ConfigError: A text has no name or no value, or its value is no YAML.
    """
    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals or not value.strip():
            raise ConfigError(f"Expected NAME=VALUE, as in threshold=0.3, got {text!r}")
        try:
            given[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"Expected a value in YAML for {name}, got {value!r}") from error
    return given


def settle_overrides(
    given: Mapping[str, Any], stages: Mapping[str, Reference], numbers: Numbers
) -> tuple[dict[str, Any], Numbers]:
    """Finds the place of each name.

    Args:
        given: Names and values.
        stages: References to the models, by stage.
        numbers: Of the method.

    Returns:
        The same values under full names, such as "tumor.threshold", and the numbers with those
        that are given.

    Raises:
        ConfigError: A name is unknown or stands for several values, or a value is of another type
            than the one that it replaces; the message lists the names that are known.
    """
    if not given:
        return {}, numbers
    configs = {stage: _knobs(reference) for stage, reference in stages.items()}
    bundles = {stage: reference.name for stage, reference in stages.items()}
    content = json.loads(numbers.text)
    settled: dict[str, Any] = {}
    for name, value in given.items():
        if name.split(".")[0] in _SECTIONS:
            _put(content, name, value)
            settled[name] = value
            continue
        for stage, knob in _places(name, configs, bundles):
            settled[f"{stage}.{knob}"] = _checked(name, value, _find(configs[stage], knob))
    return settled, build_numbers(content, "the values that were set")


def of_stage(overrides: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The overrides of one stage, by the names that its bundle has for them."""
    prefix = f"{stage}."
    return {
        name.removeprefix(prefix): value
        for name, value in overrides.items()
        if name.startswith(prefix)
    }


def _places(
    name: str, configs: Mapping[str, Any], bundles: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Stage and knob that a name stands for; more than one only where a bundle has two stages."""
    prefix, dot, knob = name.partition(".")
    if not dot:
        prefix, knob = "", name
    wanted = [stage for stage in configs if prefix in ("", stage, bundles[stage])]
    found = [stage for stage in wanted if _find(configs[stage], knob) is not _ABSENT]
    if not found:
        raise ConfigError(f"Unknown name {name!r}; there are: {_known(configs)}")
    if not prefix and len(found) > 1:
        full = ", ".join(f"{stage}.{knob}" for stage in found)
        raise ConfigError(f"{name!r} is known to several bundles: expected one of {full}")
    return [(stage, knob) for stage in found]


def _known(configs: Mapping[str, Any]) -> str:
    knobs = [
        f"{stage}.{name}"
        for stage, config in configs.items()
        for name, value in config.items()
        if name not in _PLUMBING and not (isinstance(value, dict) and "_target_" in value)
    ]
    return ", ".join((*knobs, *(f"{section}.…" for section in _SECTIONS)))


_ABSENT = object()  # what a config does not have; None is a value


def _find(config: Any, name: str) -> Any:
    """The value of a knob, or of what is nested in it as in ``network_def::width``."""
    parts = name.split(_SEPARATOR)
    if parts[0] in _PLUMBING:
        return _ABSENT
    for part in parts:
        if isinstance(config, dict) and part in config:
            config = config[part]
        elif isinstance(config, list) and part.isdecimal() and int(part) < len(config):
            config = config[int(part)]
        else:
            return _ABSENT
    return config


def _checked(name: str, value: Any, current: Any) -> Any:
    """A value, if it is of the kind of the one that it replaces; a MONAI expression always is."""
    expression = isinstance(value, str) and value[:1] in ("$", "@")
    dynamic = isinstance(current, str) and current[:1] in ("$", "@", "%")
    if current is None or dynamic or expression:
        return value
    if isinstance(current, float) and type(value) is int:
        return float(value)
    if type(value) is not type(current) or (isinstance(value, list) and len(value) != len(current)):
        raise ConfigError(f"Expected a value like {current!r} for {name}, got {value!r}")
    return value


def _put(content: dict[str, Any], name: str, value: Any) -> None:
    """Replaces a number in nested sections."""
    *sections, last = name.split(".")
    place: Any = content
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
        known = ", ".join(_leaves(content))
        raise ConfigError(f"Unknown number {name!r} of the method; there are: {known}")
    place[last] = value


def _leaves(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, value in content.items():
        full = prefix + name
        names += _leaves(value, f"{full}.") if isinstance(value, dict) else [full]
    return names


def _knobs(reference: Reference) -> dict[str, Any]:
    if reference.kind:
        return foreign_knobs(reference)
    return read_yaml(reference.folder / "configs" / "inference.yaml", "the config of a bundle")

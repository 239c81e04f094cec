"""Methods as data: which bundles run, and the numbers that decide between and after them.

A method is a file, ``bundles/methods/<name>.yaml``; a "+" in its name is "_" in that of the file.
``defaults.yaml`` in the same folder supplies the numbers that it omits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from renalseg.errors import ConfigError
from renalseg.inference.references import locate
from renalseg.limits import Numbers
from renalseg.runtime.checksums import METHODS

DEFAULTS = "defaults"
_PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package in the wheel, next to it in a checkout.
BUNDLES = _PACKAGE / "bundles"
if not BUNDLES.is_dir():
    BUNDLES = _PACKAGE.parent / "bundles"
"""The bundles of the repository, which are used where no others are named."""
LOCALIZER, TUMOR = "kidney_", "tumor_"  # prefixes of the bundles' names
Stages = tuple[str, str | None, str]
"""References to the models of localizer, refiner and tumor; a refiner may be missing."""
STAGES = ("localizer", "refiner", "tumor")
_MODEL = "model"  # beside the values of a stage that sets some
_NAME = re.compile(r"[A-Za-z0-9_.+-]*[A-Za-z0-9]")


@dataclass(frozen=True)
class Method:
    """The content of a method's file.

    Attributes:
        name: Such as "sehdc+sehdc+msvnet".
        stages: References to its models.
        numbers: Its numbers.
        values: What it sets in its models, by stage.
    """

    name: str
    stages: Stages
    numbers: Numbers
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def find_method(bundles: Path, name: str) -> Method | None:
    """Reads the file of a method.

    Args:
        bundles: Folder with the bundles. If it has no methods, those of `BUNDLES` apply whose
            bundles are in it.
        name: Name of the method.

    Returns:
        The method; None if it has no file.

    Raises:
        ConfigError: The file or defaults.yaml is broken; the message names it.
    """
    complete = (bundles / METHODS).is_dir()
    path = (bundles if complete else BUNDLES) / METHODS / f"{name.replace('+', '_')}.yaml"
    if not _NAME.fullmatch(name) or name == DEFAULTS or not path.is_file():
        return None
    content = read_yaml(path)
    stages = {stage: content.pop(stage, None) for stage in STAGES}
    values = {
        stage: {name: value for name, value in given.items() if name != _MODEL}
        for stage, given in stages.items()
        if isinstance(given, dict)
    }
    stages |= {stage: stages[stage].get(_MODEL) for stage in values}
    if not all(isinstance(stage, str) for stage in stages.values() if stage is not None):
        raise ConfigError(f"Expected names of bundles in {path}, found {stages}")
    stages = {stage: name and locate(name, bundles) for stage, name in stages.items()}
    if not stages["localizer"] or not stages["tumor"]:
        raise ConfigError(f"Expected a localizer and a tumor bundle in {path}, found {stages}")
    if not complete and not all((bundles / stage).is_dir() for stage in stages.values() if stage):
        return None
    defaults, shared = _defaults(bundles)
    numbers = build_numbers(_merged(shared, content), f"{path}, over {defaults}")
    own = (stages["localizer"], stages["refiner"], stages["tumor"])
    composed = compose_name(own)
    name = composed if composed.replace("+", "_") == path.stem else path.stem
    return Method(name, own, numbers, values)


def compose_name(stages: Stages) -> str:
    """Composes a method's name from its stages: one name if both bundles share it."""
    names = [name.removeprefix(LOCALIZER).removeprefix(TUMOR) for name in stages if name]
    return names[0] if names == names[:1] * 2 else "+".join(names)


def method_names(bundles: Path) -> list[str]:
    """Lists the methods that have a file, by the files' names."""
    names = (path.stem for path in (bundles / METHODS).glob("*.yaml"))
    return sorted(name for name in names if name != DEFAULTS)


def default_numbers(bundles: Path = BUNDLES) -> Numbers:
    """Returns the numbers of methods without a file.

    Args:
        bundles: Folder with the bundles. If it has no defaults.yaml, that of `BUNDLES` applies.

    Raises:
        ConfigError: The file is missing or broken.
    """
    path, content = _defaults(bundles)
    return build_numbers(content, str(path))


def build_numbers(content: Any, where: str) -> Numbers:
    """The numbers that nested sections of names and values hold.

    Args:
        content: As `renalseg.limits.Numbers.text` has it, parsed.
        where: What the content is, for messages.

    Raises:
        ConfigError: A name is unknown or missing, or a value of another type or out of range.
    """
    numbers: Numbers = _build(Numbers, content, where)
    return numbers


def _defaults(bundles: Path) -> tuple[Path, dict[str, Any]]:
    paths = [folder / METHODS / f"{DEFAULTS}.yaml" for folder in (bundles, BUNDLES)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ConfigError(f"Expected the numbers of methods in {paths[0]}, found no file")
    return path, read_yaml(path)


def read_yaml(path: Path, what: str = "a YAML file with a method") -> dict[str, Any]:
    """Reads a file of names and values.

    Args:
        path: The file.
        what: What is expected there, for messages.

    Raises:
        ConfigError: It cannot be read, is no YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"Expected {what} in {path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"Expected names with values in {path}, found {content!r}")
    return content


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merges a method's values over the shared ones, section by section."""
    merged = dict(shared)
    for name, value in own.items():
        under = merged.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            value = _merged(under, value)
        merged[name] = value
    return merged


def _build(kind: Any, content: Any, where: str) -> Any:
    """Builds a dataclass from values with exactly the names of its fields.

    Raises:
        ConfigError: A name is unknown or missing, or a value of another type or out of range.
    """
    hints = _hints(kind)
    if not isinstance(content, dict) or set(content) != set(hints):
        found = sorted(map(str, content)) if isinstance(content, dict) else repr(content)
        raise ConfigError(f"Expected the names {sorted(hints)} in {where}, found {found}")
    values = {}
    for name, hint in hints.items():
        inner = f"{name} in {where}"
        build = _build if is_dataclass(hint) else _value
        values[name] = build(hint, content[name], inner)
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(f"{error}, for {where}") from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _value(hint: Any, value: Any, where: str) -> Any:
    """Checks a number, text or list against the type of its field."""
    if isinstance(value, list) and getattr(hint, "__origin__", None) is tuple:
        inner = [kind for kind in hint.__args__ if kind is not ...]
        kinds = inner if len(inner) == len(value) else inner[:1] * len(value)
        if len(kinds) == len(inner) or ... in hint.__args__:
            return tuple(_value(k, v, where) for k, v in zip(kinds, value, strict=True))
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if hint in (int, str) and type(value) is hint:
        return value
    raise ConfigError(f"Expected a value of type {hint} for {where}, found {value!r}")

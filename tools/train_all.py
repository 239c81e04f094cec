"""Trains several bundles one after another.

    python -m tools.train_all [BUNDLE ...] [--export] [--epochs 20] [--data FOLDER] ...

Every knob of the bundles' train.yaml can be given. A complete training is left as it is, an
interrupted one resumes, and a failure does not stop the others.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from renalseg.errors import ConfigError, exit_code_for, plural
from renalseg.runtime.progress import announce
from renalseg.training.export import export_bundle
from renalseg.training.history import HISTORY, Row, best_of, read_history
from renalseg.training.run import train_bundle


@dataclass(frozen=True)
class Trained:
    """How the training of a bundle went.

    Attributes:
        name: Of the bundle.
        text: Summary.
        exit_code: 0 done, or that of the error.
    """

    name: str
    text: str
    exit_code: int = 0


def train_all(
    bundles: Sequence[Path], output_dir: Path, knobs: dict[str, Any], *, export: bool = False
) -> list[Trained]:
    """Trains bundles one after another, and reports after each how it went.

    Args:
        bundles: Folders of bundles.
        output_dir: Gets a folder for each.
        knobs: Replace those in each train.yaml.
        export: Makes a new bundle of each, in the folder `bundles` of `output_dir`.
    """
    outcomes = []
    for bundle in bundles:
        try:
            text = _train(bundle, output_dir / bundle.name, knobs)
            if export:
                new = output_dir / "bundles" / f"{bundle.name}_trained"
                text += f", exported to {export_bundle(output_dir / bundle.name, bundle, new)}"
            outcome = Trained(bundle.name, text)
        except Exception as error:
            said = str(error) or type(error).__name__
            outcome = Trained(bundle.name, f"failed: {said}", exit_code_for(error))
        announce(f"{outcome.name}: {outcome.text}")
        outcomes.append(outcome)
        gc.collect()  # frees the drawing processes and GPU memory
    return outcomes


def find_bundles(names: Sequence[str], folder: Path) -> list[Path]:
    """The folders of bundles that can be trained.

    Args:
        names: Of bundles in `folder`; none for all.
        folder: With a folder for each bundle.

    Raises:
        ConfigError: There is no such bundle, or no bundle at all.
    """
    there = {path.parents[1].name: path.parents[1] for path in folder.glob("*/configs/train.yaml")}
    unknown = sorted(set(names) - set(there))
    if unknown or not there:
        wanted = ", ".join(unknown) or "a bundle"
        known = ", ".join(sorted(there)) or "none"
        raise ConfigError(f"Expected {wanted} with configs/train.yaml in {folder}, found {known}")
    return [there[name] for name in names or sorted(there)]


def parse_knobs(words: Sequence[str]) -> dict[str, Any]:
    """The values in `--name value` and `--name=value`, as in YAML.

    Raises:
        ConfigError: A word has neither form.
    """
    knobs = {}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or not (equals or rest):
            raise ConfigError(f"Expected --KNOB VALUE, as in train.yaml, found {name}")
        knobs[name[2:]] = yaml.safe_load(value if equals else rest.pop(0))
    return knobs


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns the exit code of the first failed training, or 0."""
    parser = argparse.ArgumentParser(prog="tools.train_all", description=__doc__)
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="all by default")
    parser.add_argument("--bundle_dir", type=Path, default=Path("bundles"))
    parser.add_argument("--output_dir", type=Path, default=Path("build/train"))
    parser.add_argument("--export", action="store_true", help="make bundles of the weights")
    options, words = parser.parse_known_args(argv)
    try:
        bundles = find_bundles(options.bundles, options.bundle_dir)
        knobs = parse_knobs(words)
    except ConfigError as error:
        announce(f"error: {error}")
        return error.exit_code
    outcomes = train_all(bundles, options.output_dir, knobs, export=options.export)
    for outcome in outcomes:
        sys.stdout.write(f"{outcome.name}: {outcome.text}\n")
    return next((outcome.exit_code for outcome in outcomes if outcome.exit_code), 0)


def _train(bundle: Path, output_dir: Path, knobs: dict[str, Any]) -> str:
    """Trains one bundle and returns a summary."""
    config = bundle / "configs" / "train.yaml"
    epochs = knobs.get("epochs", yaml.safe_load(config.read_text(encoding="utf-8"))["epochs"])
    if (output_dir / HISTORY).exists():
        rows = read_history(output_dir)
        if rows[-1]["epoch"] >= epochs:
            return f"trained before, {_best(rows)}"
    start = time.perf_counter()
    train_bundle(bundle, output_dir, knobs)
    minutes = (time.perf_counter() - start) / 60
    return f"trained in {minutes:.1f} min, {_best(read_history(output_dir))}"


def _best(rows: Sequence[Row]) -> str:
    best = best_of(rows)
    found = f", best Dice {best['dice']:.3f} in epoch {best['epoch']:.0f}" if best else ""
    return plural(len(rows), "epoch") + found


if __name__ == "__main__":
    sys.exit(main())

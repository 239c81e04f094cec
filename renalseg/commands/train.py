"""The subcommands `renalseg train` and `renalseg export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError


def add_train_command(commands: Any) -> None:
    """Adds `train` to the subcommands of a parser."""
    train: argparse.ArgumentParser = commands.add_parser(
        "train", help="train a bundle; a second call resumes"
    )
    train.add_argument("bundle", type=Path, help="folder of the bundle")
    train.add_argument("out", type=Path, help="folder for weights, history and pictures")
    sources = "KiTS folder, data list (.json), anatomies of `renalseg library`, or several of these"
    train.add_argument("--data", nargs="+", metavar="SOURCE", help=sources)
    config = "config of the bundle that is laid over train.yaml, such as paper; can be repeated"
    train.add_argument("--config", action="append", default=[], metavar="NAME", help=config)
    knob = "sets a value of train.yaml, such as epochs=20; can be repeated"
    train.add_argument("--set", dest="knobs", action="append", metavar="NAME=VALUE", help=knob)
    train.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    train.set_defaults(action=_train)


def add_export_command(commands: Any) -> None:
    """Adds `export` to the subcommands of a parser."""
    export: argparse.ArgumentParser = commands.add_parser(
        "export", help="make a bundle of the weights of a training"
    )
    export.add_argument("train_dir", type=Path, help="output_dir of the training")
    export.add_argument("bundle", type=Path, help="folder of the bundle that was trained")
    out = "folder of the new bundle (bundles/<bundle>_trained, beside TRAIN_DIR)"
    export.add_argument("out", type=Path, nargs="?", help=out)
    also = "trainings of other folds, whose networks go into the same bundle and are averaged"
    export.add_argument(
        "--also", type=Path, nargs="+", action="extend", default=[], metavar="TRAIN_DIR", help=also
    )
    last = "export the last weights instead of the best"
    export.add_argument("--last", action="store_true", help=last)
    validate = "KiTS folder or data list, whose held-out whole CTs set the limits of postprocessing"
    export.add_argument("--validate", type=Path, metavar="SOURCE", help=validate)
    replace = "put weights and settings into BUNDLE itself, whose card and scores then are yours"
    export.add_argument("--replace", action="store_true", help=replace)
    export.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    export.set_defaults(action=_export)


def _export(options: argparse.Namespace) -> None:
    from renalseg.runtime.checksums import renew_manifest
    from renalseg.runtime.progress import announce
    from renalseg.training.card import limits_of
    from renalseg.training.export import export_bundle, replace_weights

    if options.replace and (options.out or options.validate or options.also):
        raise ConfigError("Expected --replace alone, or OUT, --also and --validate without it")
    if options.replace:
        print(replace_weights(options.train_dir, options.bundle, last=options.last))
        renew_manifest(options.bundle)
        return
    name = f"{options.bundle.resolve().name}_trained"
    out = options.out or options.train_dir.resolve().parent / "bundles" / name
    bundle = options.bundle.resolve()
    trainings = [options.train_dir, *options.also]
    print(export_bundle(trainings, bundle, out, last=options.last, validate=options.validate))
    if options.validate is None and (limits := limits_of(out)):
        announce(
            f"{limits}: limits of the shipped weights, below which no tumor is reported; "
            "--validate SOURCE finds those of the new ones"
        )


def _train(options: argparse.Namespace) -> None:
    from renalseg.inference.overrides import parse_overrides
    from renalseg.training.run import train_bundle

    knobs = parse_overrides(options.knobs or ())
    if options.data:
        one, *others = options.data
        knobs["data"] = options.data if others else one
    train_bundle(options.bundle, options.out, knobs, options.config)

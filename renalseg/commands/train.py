"""The subcommand `renalseg train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


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


def _train(options: argparse.Namespace) -> None:
    from renalseg.inference.overrides import parse_overrides
    from renalseg.training.run import train_bundle

    knobs = parse_overrides(options.knobs or ())
    if options.data:
        one, *others = options.data
        knobs["data"] = options.data if others else one
    train_bundle(options.bundle, options.out, knobs, options.config)

"""The commands of the synthesis: ``renalseg sample``, ``library`` and ``implant``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from renalseg.commands.data import add_fold_options, chosen_fold
from renalseg.errors import ConfigError, plural


def add_synthesis_commands(commands: Any) -> None:
    """Adds the commands to the parser's subcommands."""
    sample: argparse.ArgumentParser = commands.add_parser(
        "sample", help="write a synthetic CT as DICOM, and its label"
    )
    sample.add_argument("out_dir", type=Path)
    sample.add_argument("--seed", type=int, default=0, help="seed; each seed is another patient")
    sample.add_argument("--slices", type=int, default=100)
    sample.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    sample.set_defaults(action=_sample)

    library: argparse.ArgumentParser = commands.add_parser(
        "library", help="make the library of anatomies for training"
    )
    library.add_argument("out_dir", type=Path)
    library.add_argument("--phantoms", type=int, default=40, help="procedural abdomens")
    library.add_argument("--implanted", type=int, default=0, help="real torsos and kidneys")
    library.add_argument("--data", type=Path, help="folder with the labels that implanting needs")
    add_fold_options(library)
    library.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    library.set_defaults(action=_library)

    implant: argparse.ArgumentParser = commands.add_parser(
        "implant", help="put tumors and cysts into kidneys of a real CT"
    )
    implant.add_argument("image", type=Path, help="NIfTI, or folder with a DICOM series")
    implant.add_argument("kidney", type=Path, help="NIfTI on the same grid: 1 kidney, 2 tumor")
    implant.add_argument("out_dir", type=Path, help="gets image.nii.gz and label.nii.gz")
    implant.add_argument(
        "--shapes",
        type=Path,
        nargs="+",
        required=True,
        metavar="LABEL",
        help="KiTS label maps, or folders of them, whose lesions are implanted",
    )
    implant.add_argument("--count", type=int, default=3, help="lesions")
    implant.add_argument("--seed", type=int, default=0, help="seed of the random draw")
    implant.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    implant.set_defaults(action=_implant)


def _sample(options: argparse.Namespace) -> None:
    from renalseg.synthesis.sample import write_sample

    if not 2 <= options.slices <= 2000:
        raise ConfigError(f"Expected 2 to 2000 slices, got {options.slices}")
    write_sample(options.out_dir, options.seed, options.slices)
    print(f"{options.slices} slices in {options.out_dir / 'dicom'}, label next to them")


def _library(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from renalseg.synthesis.library import make_library

    made = make_library(
        options.out_dir,
        options.phantoms,
        options.implanted,
        options.data,
        fold=chosen_fold(options),
    )
    for _ in tqdm(made, total=options.phantoms + options.implanted, unit="anatomy"):
        pass


def _implant(options: argparse.Namespace) -> None:
    from renalseg.synthesis.real_image import write_implanted

    implanted = write_implanted(
        options.image,
        options.kidney,
        options.out_dir,
        options.shapes,
        count=options.count,
        seed=options.seed,
    )
    lesions = plural(options.count, "lesion")
    print(f"{implanted} of {lesions} fit; image and label in {options.out_dir}")

"""The subcommands of `renalseg data`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import EXIT_REFUSED, ConfigError, plural

if TYPE_CHECKING:
    from renalseg.data.case_lists import Fold

EXIT_INTERRUPTED = 130


def add_data_command(commands: Any) -> argparse.ArgumentParser:
    """Adds `data` to the subcommands of a parser, and returns its own parser."""
    data: argparse.ArgumentParser = commands.add_parser(
        "data", help="fetch and check real cases for training"
    )
    actions = data.add_subparsers(required=True, metavar="ACTION")

    kits19 = actions.add_parser("kits19", help="download images and labels of KiTS19, about 30 GB")
    kits19.add_argument("root", type=Path, help="folder for the cases; a second call resumes")
    kits19.add_argument(
        "--jobs", type=int, default=4, metavar="N", help="number of parallel downloads"
    )
    kits19.add_argument("--url", metavar="BASE", help="where case_00000.nii.gz and so on are")
    kits19.add_argument(
        "--label-url", metavar="BASE", help="where case_00000/segmentation.nii.gz and so on are"
    )
    kits19.set_defaults(action=_kits19)

    check = actions.add_parser("check", help="find missing, broken or unusual cases")
    check.add_argument("root", type=Path, help="folder with case_00000 and so on")
    check.add_argument("--quick", action="store_true", help="read only the headers")
    check.add_argument("--jobs", type=int, metavar="N", help="number of parallel cases")
    check.set_defaults(action=_check)

    c4kc = actions.add_parser(
        "c4kc", help="convert C4KC-KiTS of TCIA (DICOM) to the layout of KiTS"
    )
    c4kc.add_argument("root", type=Path, help="folder with KiTS-00000 and so on, at any depth")
    c4kc.add_argument("out", type=Path, help="folder for the cases; a second call goes on")
    c4kc.set_defaults(action=_c4kc)

    for command in (kits19, check, c4kc):
        command.add_argument("--cases", type=_numbers, metavar="0-209", help="such as 0-9,160")

    prepare = actions.add_parser(
        "prepare", help="convert cases now instead of at the start of training"
    )
    prepare.add_argument("source", type=Path, nargs="+", help="KiTS folder or data list (.json)")
    prepare.set_defaults(action=_prepare)
    held_out = actions.add_parser("held-out", help="link the cases that validate a training")
    held_out.add_argument("source", type=Path, help="KiTS folder or data list (.json)")
    held_out.add_argument("out", type=Path, help="folder for the folders cases and labels")
    add_fold_options(held_out)
    held_out.set_defaults(action=_held_out)
    corrections = actions.add_parser(
        "corrections", help="keep results that a person corrected, with their CTs, for training"
    )
    corrections.add_argument("root", type=Path, help="folder with a CT for each result, or one CT")
    corrections.add_argument("results", type=Path, help="folder of corrected results, or one")
    corrections.add_argument("out", type=Path, help="folder for the cases, in the layout of KiTS")
    corrections.set_defaults(action=_corrections)
    for command in (kits19, check, c4kc, prepare, held_out, corrections):
        command.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return data


def add_fold_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose a fold."""
    parser.add_argument("--fold", type=int, metavar="N", help="fold whose cases are held out")
    parser.add_argument(
        "--folds", type=Path, metavar="FILE", help="YAML with the folds (those of KiTS19)"
    )


def chosen_fold(options: argparse.Namespace) -> Fold | None:
    """The fold of the options of `add_fold_options`, if one is chosen."""
    from renalseg.data.folds import read_fold

    if options.fold is None and options.folds is not None:
        raise ConfigError("Expected --fold N with --folds FILE")
    return None if options.fold is None else read_fold(options.folds, options.fold)


def _numbers(text: str) -> list[int]:
    """[0, 1, 2, 160] of "0-2,160"."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not found:
            raise argparse.ArgumentTypeError(f"expected numbers such as 0-9,160, got {text!r}")
        numbers += range(int(found[1]), int(found[2] or found[1]) + 1)
    return numbers


def _kits19(options: argparse.Namespace) -> int:
    from rich.console import Console

    from renalseg.data.kits19 import CASES, IMAGES, LABELS, fetch
    from renalseg.runtime.progress import announce

    _at_least_one_job(options.jobs)
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        "KiTS19 (Heller et al. 2019), CC BY-NC-SA 4.0: https://github.com/neheller/kits19"
    )
    try:
        outcome = fetch(
            options.root,
            options.cases or CASES,
            options.jobs,
            options.url or IMAGES,
            options.label_url or LABELS,
        )
    except KeyboardInterrupt:
        announce("interrupted; run the same command to resume")
        return EXIT_INTERRUPTED
    console.print(f"{plural(outcome.fetched, 'file')} fetched, {outcome.kept} already present")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from renalseg.data.case_lists import case_folders
    from renalseg.data.check import check
    from renalseg.runtime.progress import steps

    _at_least_one_job(options.jobs)
    count = len(options.cases or case_folders(options.root))
    results = []
    with steps("case") as update:
        for found in check(
            options.root, options.cases, voxels=not options.quick, jobs=options.jobs
        ):
            results.append(found)
            update(len(results), count)
    table = Table("case", "", "what was found")
    for finding in (finding for found in results for finding in found):
        table.add_row(finding.case, "mend" if finding.broken else "note", finding.text)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 110
    if table.row_count:
        console.print(table)
    broken = sum(any(finding.broken for finding in found) for found in results)
    console.print(f"{plural(len(results), 'case')}, {broken} to be fixed")
    return EXIT_REFUSED if broken else 0


def _c4kc(options: argparse.Namespace) -> int:
    from renalseg.data.c4kc import convert_all, find_patients
    from renalseg.runtime.progress import announce, steps

    patients = find_patients(options.root, options.cases)
    outcomes = []
    with steps("case") as update:
        for outcome in convert_all(patients, options.out):
            outcomes.append(outcome)
            update(len(outcomes), len(patients))
    faults = [outcome for outcome in outcomes if outcome.fault is not None]
    for outcome in faults:
        announce(f"{outcome.case}: {outcome.fault}")
    kept = sum(outcome.kept for outcome in outcomes)
    announce(
        f"{len(outcomes) - len(faults) - kept} cases converted, {kept} were there, "
        f"{len(faults)} cannot be converted"
    )
    return EXIT_REFUSED if faults else 0


def _corrections(options: argparse.Namespace) -> int:
    from renalseg.data.corrections import keep_all
    from renalseg.runtime.progress import announce

    kept = list(keep_all(options.root, options.results, options.out))
    faults = [each for each in kept if each.case is None]
    for each in faults:
        announce(f"not kept: {each.fault}")
    new = sum(each.new for each in kept)
    announce(f"{new} cases kept, {len(kept) - new - len(faults)} were there")
    return EXIT_REFUSED if faults else 0


def _prepare(options: argparse.Namespace) -> None:
    from renalseg.runtime.progress import announce
    from renalseg.training.sources import load_patients

    patients = load_patients(options.source)
    announce(f"{plural(len(patients), 'case')} ready")


def _held_out(options: argparse.Namespace) -> None:
    from renalseg.data.held_out import link_held_out
    from renalseg.runtime.progress import announce

    names = link_held_out(options.source, options.out, chosen_fold(options))
    announce(f"{len(names)} cases validate: {', '.join(names)}")


def _at_least_one_job(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise ConfigError(f"Expected --jobs of at least 1, got {jobs}")

"""The command ``renalseg compare``: what changed in a patient between two studies."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError

_RESULT = "result folder of run, archive or the application, or a study that is segmented first"


def add_compare_command(commands: Any, add_choices: Callable[[Any], None]) -> None:
    """Adds the command to the parser's subcommands.

    Args:
        commands: The subcommands.
        add_choices: Adds the options of what segments a study.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare", help="say what changed in a patient between two studies"
    )
    add = parser.add_argument
    add("prior", type=Path, metavar="PRIOR", help=f"earlier: {_RESULT}")
    add("now", type=Path, metavar="NOW", help="later: the same")
    add("out", type=Path, metavar="OUT", help="folder for the comparison")
    for name in ("prior", "now"):
        add(f"--{name}-ct", type=Path, metavar="DIR", help=f"the CT of the result {name.upper()}")
        add(f"--{name}-study", metavar="NAME", help="which study or volume of it, if several")
    add("--days", type=int, metavar="N", help="days between them, where dates are missing or wrong")
    add(
        "--repeat",
        type=int,
        default=0,
        metavar="N",
        help="measure the error: segment each CT N more times, slightly moved and noisier",
    )
    add("-m", "--model", type=Path, metavar="BUNDLES", help="folder with the bundles")
    add_choices(parser)
    parser.set_defaults(action=_compare)


def _compare(options: argparse.Namespace) -> None:
    from renalseg.commands.main import choices
    from renalseg.runtime.imports import import_monai_quickly

    import_monai_quickly()
    from renalseg.findings.followup.sentences import compared
    from renalseg.followup.results import compare_results
    from renalseg.followup.studies import Program
    from renalseg.output.comparison_files import JSON_FILE, PAGE_FILE

    if options.repeat < 0:
        raise ConfigError(f"Expected --repeat of at least 0, got {options.repeat}")
    with Program(bundles=options.model, **choices(options)) as program:
        prior = program.result(
            options.prior, options.prior_ct, options.prior_study, options.out / "prior"
        )
        now = program.result(options.now, options.now_ct, options.now_study, options.out / "now")
        comparison = compare_results(
            prior,
            now,
            options.out,
            days=options.days,
            prior_errors=program.errors(prior, options.repeat),
            now_errors=program.errors(now, options.repeat),
        )
    print(compared(comparison))
    for text in comparison.remarks:
        print(f"Warning: {text}")
    for name in (JSON_FILE, PAGE_FILE):
        print(options.out / name)

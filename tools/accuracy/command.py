"""``python -m tools accuracy`` and ``gate``: how accurate methods and their variants are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_accuracy_commands(commands: Any) -> None:
    """Adds the commands to the parser's subcommands."""
    accuracy: argparse.ArgumentParser = commands.add_parser(
        "accuracy", help="measure methods on real and synthetic CTs"
    )
    add = accuracy.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder with CTs and labels")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for all numbers; a second call resumes",
    )
    add("--method", nargs="+", metavar="M", default=[], help="all available by default")
    add(
        "--suite",
        nargs="+",
        choices=("phases", "real_ct", "synthetic", "slices"),
        default=[],
        help="all with data by default",
    )
    add("--cases", type=int, metavar="N", default=20, help="synthetic CTs with tumors")
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n>")
    add("--again", action="store_true", help="also measure finished cases again")
    add("--markdown", type=Path, metavar="FILE", help="write the tables to this file")
    add("--cards", action="store_true", help="put the results into the bundles' model cards")
    accuracy.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    accuracy.set_defaults(action=_accuracy)

    gate: argparse.ArgumentParser = commands.add_parser(
        "gate", help="tell which speed-ups of a method cost accuracy"
    )
    gate.add_argument(
        *("--case", "-c"), nargs=2, action="append", default=[], metavar=("CT", "LABEL"),
        help="NIfTI or DICOM folder, and NIfTI label; LABEL:2,3:9 if 2 and 3 are kidney, 9 tumor",
    )  # fmt: skip
    gate.add_argument("--samples", type=int, default=4, help="synthetic cases in addition")
    gate.add_argument("--slices", type=int, default=100, help="of each synthetic case")
    gate.add_argument("--method", nargs="+", default=[], help="all available by default")
    gate.add_argument("--device", default=None)
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to this file")
    gate.add_argument("--json", type=Path, metavar="FILE", help="save all numbers there")
    gate.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    gate.set_defaults(action=_gate)


def _accuracy(options: argparse.Namespace) -> None:
    from renalseg.settings import Settings
    from tools.accuracy.cards import check_cards, write_cards
    from tools.accuracy.measure import measure_accuracy
    from tools.accuracy.report import MARK, markdown
    from tools.markdown import check_marks, put_between

    bundles = Settings.resolve(device=options.device).choice.bundles
    if options.markdown:
        check_marks(options.markdown, MARK)
    if options.cards:
        check_cards(bundles)
    content = measure_accuracy(
        options.data,
        options.out,
        methods=options.method,
        suites=options.suite,
        count=options.cases,
        device=options.device,
        again=options.again,
    )
    if options.markdown:
        put_between(options.markdown, MARK, markdown(content))
    else:
        print(markdown(content))
    if options.cards:
        for card in write_cards(content, bundles):
            print(card)


def _gate(options: argparse.Namespace) -> None:
    from tools.accuracy.gate import run_gate

    run_gate(
        options.case,
        options.samples,
        slices=options.slices,
        methods=options.method,
        device=options.device,
        markdown=options.markdown,
        json=options.json,
    )

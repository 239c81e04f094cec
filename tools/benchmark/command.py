"""The command ``python -m tools bench``: seconds and memory of each method."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_bench_command(commands: Any) -> None:
    """Adds the command to the parser's subcommands."""
    bench: argparse.ArgumentParser = commands.add_parser(
        "bench", help="measure speed and memory of each method and of references"
    )
    add = bench.add_argument
    add("--slices", type=int, nargs="+", metavar="N", default=[200], help="of 512 x 512 pixels")
    add("--method", nargs="+", metavar="M", default=[], help="all available by default")
    add("--repeat", type=int, metavar="N", default=3, help="number of runs; the median is reported")
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n>")
    add("--no-references", action="store_true", help="skip the references")
    add("--nnunet", type=Path, metavar="DIR", help="folder with nnU-Net, to compare with it")
    add("--json", type=Path, metavar="FILE", help="save all numbers")
    add("--plot", type=Path, metavar="FILE", help="save a plot of their growth, PNG or SVG")
    bench.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    bench.set_defaults(action=_bench)


def _bench(options: argparse.Namespace) -> None:
    from tools.benchmark.all_methods import Options, run_benchmark
    from tools.benchmark.report import make_console, print_report

    wanted = Options(
        slices=tuple(options.slices),
        methods=tuple(options.method),
        repeat=options.repeat,
        device=options.device,
        references=not options.no_references,
        nnunet=options.nnunet,
    )
    benchmark = run_benchmark(wanted)
    if options.json:
        from tools.benchmark.report import to_json

        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(to_json(benchmark), encoding="utf-8")
    if options.plot:
        from tools.benchmark.plot import save_growth

        save_growth(benchmark, options.plot)
    print_report(benchmark, make_console())

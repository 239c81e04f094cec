"""``python -m tools``: measures and builds RenalSeg from a checkout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from renalseg.commands.main import report_error
from renalseg.runtime.process import leave
from tools.accuracy.command import add_accuracy_commands
from tools.benchmark.command import add_bench_command
from tools.calibration.command import add_calibrate_command
from tools.gpu import add_gpu_command
from tools.load_day import add_load_day_command
from tools.nephrometry import add_nephrometry_command
from tools.training_cost import add_training_cost_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a tool and returns its exit code, as `renalseg` does.

    Args:
        argv: Arguments without the program's name; those of the process when None.
    """
    options = _parser().parse_args(argv)
    # Each tool prepares the process itself, so a wrong call is answered before libraries are
    # imported.
    from tools.accuracy import start_process

    start_process()
    try:
        return options.action(options) or 0
    except Exception as error:
        return report_error(error, verbose=options.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    tools = parser.add_subparsers(required=True, metavar="TOOL")
    add_accuracy_commands(tools)
    add_bench_command(tools)
    add_calibrate_command(tools)
    add_gpu_command(tools)
    add_load_day_command(tools)
    add_nephrometry_command(tools)
    add_training_cost_command(tools)
    return parser


if __name__ == "__main__":
    leave(main(sys.argv[1:]))

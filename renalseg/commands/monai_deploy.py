"""The console script ``monai-deploy``: runs a MONAI Deploy application folder.

The command of this name left the MONAI Deploy SDK after version 0.5 and holoscan-cli after 4.2.
Like the original, ``monai-deploy exec APP_DIR`` runs a folder as a Python program.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from renalseg.runtime.process import raise_stack_limit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        The exit code of the application; 2 if the folder is not an application. On POSIX the
        application takes the place of this process, and the function does not return.
    """
    options = _parser().parse_args(argv)
    folder: Path = options.application
    problem = find_problem(folder)
    if problem:
        print(f"monai-deploy: error: {problem}", file=sys.stderr)
        return 2
    # -P: imports nothing from the current folder, which may hold received files.
    command = [sys.executable, "-P", str(folder), *options.arguments]
    # Raised first, because threads inherit the limit that applied when their process started.
    raise_stack_limit()
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, command)
    return subprocess.run(command, check=False).returncode


def find_problem(folder: Path) -> str | None:
    """Say why a folder cannot be run as an application; None if it can."""
    if not folder.exists():
        return f"no such application folder: {folder}"
    if not folder.is_dir():
        return f"expected an application folder, found a file: {folder}"
    if not (folder / "__main__.py").is_file():
        return f"no application in {folder}: expected {folder / '__main__.py'}"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="monai-deploy",
        description="Run a MONAI Deploy application folder.",
        epilog="Example: monai-deploy exec app -i dicom_in -o seg_out",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    execute = commands.add_parser(
        "exec",
        usage="%(prog)s [-h] APP_DIR [ARGUMENT ...]",
        help="run an application folder with this Python and pass its exit code on",
        description="Run an application folder with this Python and pass its exit code on.",
        epilog="`monai-deploy exec app --help` lists the arguments of the application.",
    )
    execute.add_argument(
        "application",
        metavar="APP_DIR",
        type=Path,
        help="folder that holds __main__.py",
    )
    execute.add_argument(
        "arguments",
        metavar="ARGUMENT",
        nargs=argparse.REMAINDER,
        help="passed on as they are",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

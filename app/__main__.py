"""The program: ``monai-deploy exec app``, ``python -m app`` and ``python app``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if not __package__:
    # Run as a folder, which Python then searches first: app.py would pass for the package `app`.
    sys.path[:] = [str(FOLDER.parent), *(p for p in sys.path if Path(p).resolve() != FOLDER)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the application.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        The exit code: 0 done, 2 refused, 75 retryable, 1 a fault of the program.
    """
    # Imports stand where they are needed: a wrong call is answered before the SDK is loaded, and
    # that in turn must find a prepared process.
    from app.options import parse_options
    from renalseg.commands.main import report_error
    from renalseg.runtime import log
    from renalseg.runtime.imports import may_lack_imports, start_again_with_all
    from renalseg.runtime.process import prepare

    options = parse_options(argv)
    prepare(verbose=options.verbose)
    try:
        log.start(as_json=options.log_json, folder=options.input)
        run(options)
    except (Exception, SystemExit) as error:  # a library that exits is no success
        if may_lack_imports(error):
            start_again_with_all()
        return report_error(error, verbose=options.verbose)
    log.note("ended", exit_code=0)
    return 0


def run(options: argparse.Namespace) -> None:
    """Settle the choices, run the graph and print what it found."""
    from renalseg.commands.main import choices
    from renalseg.runtime.cuda_runtime import ensure_cuda_runtime
    from renalseg.runtime.imports import import_monai_quickly
    from renalseg.runtime.process import require_memory

    require_memory()
    ensure_cuda_runtime()
    import_monai_quickly()
    from app.mercure import add_notification
    from app.options import MERCURE_OUTPUT
    from renalseg.settings import Settings

    settings = Settings.resolve(
        bundles=options.model or _default_bundles(),
        config=os.environ.get("HOLOSCAN_CONFIG_PATH") or FOLDER / "app.yaml",
        **choices(options),
    )
    from app.app import run_graph
    from renalseg.commands.summary import print_result

    run_graph(options.input, options.output, settings)
    print_result(options.output)
    if os.environ.get(MERCURE_OUTPUT):
        add_notification(options.output)


def _default_bundles() -> Path | None:
    """Give the folder next to the application, unless the environment names one or it is absent."""
    named = any(os.environ.get(name) for name in ("RENALSEG_BUNDLES", "HOLOSCAN_MODEL_PATH"))
    beside = FOLDER.parent / "bundles"
    return beside if beside.is_dir() and not named else None


if __name__ == "__main__":
    from renalseg.runtime.process import end_on_signals, leave

    end_on_signals()
    leave(main())

"""The command ``renalseg``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from renalseg import __version__
from renalseg.commands.archive import RAY, run_archive
from renalseg.commands.compare import add_compare_command
from renalseg.commands.data import add_data_command
from renalseg.commands.evaluate import add_evaluate_command
from renalseg.commands.inspect import add_inspect_command
from renalseg.commands.jobs import add_jobs_command
from renalseg.commands.lesions import add_lesions_command
from renalseg.commands.measure import add_measure_command
from renalseg.commands.methods import add_methods_command
from renalseg.commands.publish import add_publish_command
from renalseg.commands.report import add_report_command
from renalseg.commands.synthesis import add_synthesis_commands
from renalseg.commands.train import add_export_command, add_train_command
from renalseg.commands.worker import add_worker_command
from renalseg.errors import EXIT_FAULT, RenalSegError, exit_code_for
from renalseg.runtime import log
from renalseg.runtime.checksums import add_checksums_command
from renalseg.runtime.cuda_runtime import ensure_cuda_runtime
from renalseg.runtime.imports import import_monai_quickly, may_lack_imports, start_again_with_all
from renalseg.runtime.privacy import format_traceback, reason_of
from renalseg.runtime.process import end_on_signals, leave, prepare, require_memory

_BUNDLES = "folder with the bundles"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        The exit code: 0 done, 2 refused, 75 retryable, 1 a bug.
    """
    return _main(_parser().parse_args(argv))


def program() -> NoReturn:
    """Runs `main` as the console script and ends the process."""
    options = _parser().parse_args()
    # not with Ray, whose processes would block the signals, too; its own write the results
    if options.action in (_run, _archive) and getattr(options, "engine", "") != RAY:
        end_on_signals()
    leave(_main(options))


def _main(options: argparse.Namespace) -> int:
    prepare(verbose=options.verbose)
    try:
        if options.action in (_run, _archive):
            folder = getattr(options, "dicom_in", None) or options.root
            log.start(as_json=options.log_json, folder=folder)
        ensure_cuda_runtime()
        code: int = options.action(options) or 0
    except Exception as error:
        if may_lack_imports(error):
            start_again_with_all()
        return report_error(error, verbose=options.verbose)
    log.note("ended", exit_code=code)
    return code


def report_error(error: BaseException, *, verbose: bool = False) -> int:
    """Reports an error on standard error and returns its exit code.

    Args:
        error: What ended the program.
        verbose: Whether to show the traceback of an expected error, too.
    """
    code = exit_code_for(error)
    fault = code == EXIT_FAULT and not isinstance(error, RenalSegError)
    trace = format_traceback(error) if verbose or fault else None
    message = reason_of(error)
    if log.in_json():
        log.note("ended", "error", message=message, exit_code=code, traceback=trace)
        return code
    if trace:
        sys.stderr.write(trace)
    print(f"renalseg: {'internal error' if fault else 'error'}: {message}", file=sys.stderr)
    return code


def add_choices(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Adds the options that choose what runs and where; see `renalseg.settings` for their rank.

    Args:
        parser: Of the command.
        several: Whether several methods can be given; then "method" is a list.
    """
    add = parser.add_argument
    method = "method; one per stage: A+B, A+R+B; an ensemble: 'A|B' (or RENALSEG_METHOD)"
    if several:
        add("--method", nargs="+", metavar="M", help=f"{method}; several are set side by side")
    else:
        add("--method", metavar="M", help=method)
    other = (
        "name of a {} bundle, such as {}, instead of the method's, or a model from elsewhere, such "
        "as nnunet:PATH (or RENALSEG_{})"
    )
    localizer = other.format("kidney", "kidney_mrb", "LOCALIZER")
    add("--localizer", "--localiser", metavar="BUNDLE", help=localizer)
    add("--tumor", metavar="BUNDLE", help=other.format("tumor", "tumor_mrb", "TUMOR"))
    labels = (
        "labels of a model from elsewhere, where its names do not say it: kidney=1,tumor=2,cyst=3 "
        "(or RENALSEG_LABELS)"
    )
    add("--labels", metavar="NAMES", help=labels)
    knob = (
        "sets a value of a bundle's inference.yaml (threshold=0.3, or tumor.window=[-60,260] where "
        "several bundles have the name) or of the method's file (plausibility.tumor.islands=5)"
    )
    add("--set", dest="overrides", action="append", metavar="NAME=VALUE", help=knob)
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n> (or RENALSEG_DEVICE)")
    add("--overlay", type=Path, metavar="DIR", help="also save a picture of the result to DIR")
    add("--report", type=Path, metavar="DIR", help="also save an HTML page of the result to DIR")
    wanted = "series to use of each study: UID, number or description (or RENALSEG_SERIES)"
    add("--series", metavar="S", help=wanted)
    switch: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
    gaps = "slices may be missing away from the kidneys (or RENALSEG_ALLOW_GAPS)"
    add("--allow-gaps", **switch, help=gaps)
    outputs = (
        "seg, labelmap, rtstruct, sr, fhir, pdf, sc, probability, nifti, nrrd, mha, masks, "
        "seg.nrrd, stl, obj, glb: what is written (seg,sr,pdf, of a volume a label map in its "
        "format; or RENALSEG_OUTPUTS)"
    )
    add("--outputs", metavar="NAMES", help=outputs)
    empty = "also write empty frames of segmentations (or RENALSEG_EMPTY_FRAMES)"
    add("--empty-frames", **switch, help=empty)
    add("--log-json", action="store_true", help="log JSON lines on stderr (or RENALSEG_LOG=json)")
    add("-v", "--verbose", action="store_true", help="show tracebacks of errors")


def choices(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of `add_choices` under the names that `Settings.resolve` uses."""
    from renalseg.inference.overrides import parse_overrides

    names = ("method", "localizer", "tumor", "labels", "device", "overlay", "report", "series")
    chosen = {
        name: getattr(options, name) for name in (*names, "outputs", "empty_frames", "allow_gaps")
    }
    return chosen | {"overrides": parse_overrides(options.overrides or ())}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="renalseg", description="Kidneys and kidney tumors in CT."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="segment a CT study: DICOM in, DICOM SEG out; or volumes")
    run.add_argument("dicom_in", type=Path, help="DICOM files or volumes: a folder, or one file")
    run.add_argument("seg_out", type=Path, help="folder for the results")
    run.set_defaults(action=_run)

    archive = commands.add_parser(
        "archive", help="segment all studies in a folder, one after another"
    )
    archive.add_argument("root", type=Path, help="folder with a folder or a volume for each study")
    archive.add_argument("out_root", type=Path, help="folder for the results, with a table of all")
    archive.add_argument(
        "--again", action="store_true", help="also segment studies that already have a result"
    )
    archive.add_argument(
        "--compare",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare each study with the one before it of the same patient (the default)",
    )
    archive.add_argument(
        "--review", action="store_true", help="sort archive.csv by what to look at first"
    )
    engine = "who runs the studies: this process, or a cluster of Ray (extra ray)"
    archive.add_argument("--engine", choices=("process", RAY), default="process", help=engine)
    cores = "cores of each study with --engine ray (4, or all of a machine with less)"
    archive.add_argument("--cores", type=int, metavar="N", help=cores)
    archive.set_defaults(action=_archive)
    for command in (run, archive):
        command.add_argument("-m", "--model", type=Path, metavar="BUNDLES", help=_BUNDLES)
        add_choices(command, several=command is archive)

    summary = commands.add_parser("summary", help="print what a result folder holds")
    summary.add_argument("folder", type=Path)
    summary.set_defaults(action=_summary)

    add_evaluate_command(commands)
    add_synthesis_commands(commands)
    add_data_command(commands)
    add_train_command(commands)
    add_report_command(commands)
    add_compare_command(commands, add_choices)
    add_measure_command(commands)
    add_lesions_command(commands)
    add_worker_command(commands)
    add_jobs_command(commands)
    add_inspect_command(commands)
    add_methods_command(commands)
    checksums = add_checksums_command(commands)

    add_export_command(commands)
    add_publish_command(commands)
    for command in (summary, checksums):
        command.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def _run(options: argparse.Namespace) -> None:
    require_memory()
    log.say("Starting")  # the libraries take seconds
    import_monai_quickly()
    from renalseg import segment
    from renalseg.commands.summary import print_result

    segment(
        options.dicom_in,
        options.seg_out,
        bundles=options.model,
        **choices(options),
    )
    print_result(options.seg_out)


def _archive(options: argparse.Namespace) -> int:
    return run_archive(options, choices(options))


def _summary(options: argparse.Namespace) -> None:
    from renalseg.commands.summary import print_result

    print_result(options.folder)


if __name__ == "__main__":
    program()

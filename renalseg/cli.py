"""The command ``renalseg``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from renalseg import __version__, log
from renalseg.checksums import MANIFEST, add_checksums_command, write_manifest
from renalseg.cuda_runtime import ensure_cuda_runtime
from renalseg.data.command import add_data_command
from renalseg.errors import (
    EXIT_FAULT,
    ConfigError,
    InputError,
    RenalSegError,
    causes,
    exit_code_for,
    what_ran_out,
)
from renalseg.imports import import_monai_quickly, may_lack_imports, start_again_with_all
from renalseg.inspection import add_inspect_command
from renalseg.privacy import HIDDEN, format_traceback, message_of
from renalseg.process import leave, prepare, require_memory
from renalseg.report.html.command import add_report_command
from renalseg.signals import end_on_signals
from renalseg.worker.command import add_worker_command
from renalseg.worker.listing import add_jobs_command

_BUNDLES = "folder with the bundles"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        The exit code: 0 done, 2 refused, 75 retryable, 1 a fault of the program.
    """
    return _main(_parser().parse_args(argv))


def program() -> NoReturn:
    """The console script: `main`, and the end of the process."""
    options = _parser().parse_args()
    if options.action in (_run, _archive):
        end_on_signals()
    leave(_main(options))


def _main(options: argparse.Namespace) -> int:
    prepare(verbose=options.verbose)
    if options.action in (_run, _archive):
        log.start(
            as_json=options.log_json, folder=getattr(options, "dicom_in", None) or options.root
        )
    try:
        ensure_cuda_runtime()
        code: int = options.action(options) or 0
    except Exception as error:
        if may_lack_imports(error):
            start_again_with_all()
        return report_error(error, verbose=options.verbose)
    log.note("ended", exit_code=code)
    return code


def report_error(error: BaseException, *, verbose: bool = False) -> int:
    """Says on standard error what went wrong, and gives the exit code for it.

    Args:
        error: What ended the program.
        verbose: Whether the traceback of an expected error is shown too.
    """
    code = exit_code_for(error)
    fault = code == EXIT_FAULT and not isinstance(error, RenalSegError)
    trace = format_traceback(error) if verbose or fault else None
    ran_out = _what_ran_out(error)
    message = message_of(error) or type(error).__name__
    if ran_out:
        message = ran_out if HIDDEN in message else f"{ran_out} ({' '.join(message.split())})"
    if log.in_json():
        log.note("ended", "error", message=message, exit_code=code, traceback=trace)
        return code
    if trace:
        sys.stderr.write(trace)
    print(f"renalseg: {'internal error' if fault else 'error'}: {message}", file=sys.stderr)
    return code


def _what_ran_out(error: BaseException) -> str | None:
    for cause in causes(error):
        if isinstance(cause, RenalSegError):
            return None  # it says so itself
        if text := what_ran_out(cause):
            return text
    return None


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose what runs, and where; `renalseg.settings` says how they rank."""
    add = parser.add_argument
    add("--method", metavar="M", help="method of both bundles, or two: A+B (or RENALSEG_METHOD)")
    add("--localizer", "--localiser", metavar="L", help="kidney bundle, if not the method's own")
    add("--tumor", metavar="T", help="tumor bundle, if not the method's own")
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n> (or RENALSEG_DEVICE)")
    add("--overlay", type=Path, metavar="DIR", help="also save a picture of the result to DIR")
    add("--report", type=Path, metavar="DIR", help="also save an HTML page of the result to DIR")
    add("--allow-gaps", action="store_true", help="slices may be missing away from the kidneys")
    outputs = "seg, labelmap, sr, pdf, sc: what is written (seg,sr,pdf; or RENALSEG_OUTPUTS)"
    add("--outputs", metavar="NAMES", help=outputs)
    empty = "also write the frames of a segmentation in which there is nothing"
    add("--empty-frames", action="store_true", default=None, help=empty)
    add("--log-json", action="store_true", help="log JSON lines on stderr (or RENALSEG_LOG=json)")
    add("-v", "--verbose", action="store_true", help="show tracebacks of errors")


def choices(options: argparse.Namespace) -> dict[str, Any]:
    """What the options of `add_choices` say, by the names that `Settings.resolve` has for them."""
    names = ("method", "localizer", "tumor", "device", "overlay", "report", "outputs")
    return {name: getattr(options, name) for name in (*names, "empty_frames", "allow_gaps")}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="renalseg", description="Kidneys and kidney tumors in CT."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="segment a CT study: DICOM in, DICOM SEG out")
    run.add_argument("dicom_in", type=Path, help="folder with the DICOM files")
    run.add_argument("seg_out", type=Path, help="folder for the results")
    run.set_defaults(action=_run)

    archive = commands.add_parser("archive", help="segment all studies in a folder, one after one")
    archive.add_argument("root", type=Path, help="folder with a folder for each study")
    archive.add_argument("out_root", type=Path, help="gets a folder for each, and a table of all")
    archive.add_argument("--again", action="store_true", help="also studies that have a result")
    archive.set_defaults(action=_archive)
    for command in (run, archive):
        command.add_argument("-m", "--model", type=Path, metavar="BUNDLES", help=_BUNDLES)
        add_choices(command)

    sample = commands.add_parser("sample", help="write a synthetic CT as DICOM, and its label")
    sample.add_argument("out_dir", type=Path)
    sample.add_argument("--seed", type=int, default=0, help="another seed is another patient")
    sample.add_argument("--slices", type=int, default=100)
    sample.set_defaults(action=_sample)

    summary = commands.add_parser("summary", help="print what a result folder holds")
    summary.add_argument("folder", type=Path)
    summary.set_defaults(action=_summary)

    evaluate = commands.add_parser("evaluate", help="score predictions against labels")
    evaluate.add_argument(
        "pred",
        type=Path,
        help="NIfTI (1 kidney, 2 tumor), DICOM SEG, result folder, or all of them",
    )
    evaluate.add_argument("label", type=Path, help="NIfTI on the same grid, or a folder of them")
    evaluate.add_argument("--out", type=Path, metavar="DIR", help="save tables and a picture there")
    evaluate.set_defaults(action=_evaluate)

    bench = commands.add_parser("bench", help="measure each method, beside what it compares with")
    add = bench.add_argument
    add("--slices", type=int, nargs="+", metavar="N", default=[200], help="of 512 x 512 pixels")
    add("--method", nargs="+", metavar="M", default=[], help="all that are there by default")
    add("--repeat", type=int, metavar="N", default=3, help="runs, of which the median counts")
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n>")
    add("--no-references", action="store_true", help="leave out what the methods compare with")
    add("--nnunet", type=Path, metavar="DIR", help="folder with nnU-Net, to compare with it")
    add("--json", type=Path, metavar="FILE", help="also save all numbers")
    add("--plot", type=Path, metavar="FILE", help="also save a picture of their growth, PNG or SVG")
    bench.set_defaults(action=_bench)

    gate = commands.add_parser("gate", help="tell which speed-ups of a method cost accuracy")
    gate.add_argument(
        *("--case", "-c"), nargs=2, action="append", default=[], metavar=("CT", "LABEL"),
        help="NIfTI or DICOM folder, and NIfTI label; LABEL:2,3:9 if 2 and 3 are kidney, 9 tumor",
    )  # fmt: skip
    gate.add_argument("--samples", type=int, default=4, help="synthetic cases beside them")
    gate.add_argument("--slices", type=int, default=100, help="of each synthetic case")
    gate.add_argument("--method", nargs="+", default=[], help="all that are there by default")
    gate.add_argument("--device", default=None)
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables there")
    gate.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers there")
    gate.set_defaults(action=_gate)

    accuracy = commands.add_parser("accuracy", help="measure methods on real and unseen CTs")
    add = accuracy.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder with CTs and labels")
    add("--out", type=Path, required=True, metavar="DIR", help="gets all numbers; goes on there")
    add("--method", nargs="+", metavar="M", default=[], help="all that are there by default")
    add("--suite", nargs="+", choices=("real_ct", "unseen", "slices"), default=[], help="not all")
    add("--cases", type=int, metavar="N", default=20, help="drawn CTs with tumors")
    add("--device", metavar="D", help="auto, cpu, cuda or cuda:<n>")
    add("--again", action="store_true", help="also cases that are finished")
    add("--markdown", type=Path, metavar="FILE", help="put the tables there")
    add("--cards", action="store_true", help="put the results into the bundles' model cards")
    accuracy.set_defaults(action=_accuracy)

    library = commands.add_parser("library", help="make the anatomies that training draws from")
    library.add_argument("out_dir", type=Path)
    library.add_argument("--phantoms", type=int, default=40, help="procedural abdomens")
    library.add_argument("--implanted", type=int, default=0, help="real torsos and kidneys")
    library.add_argument("--data", type=Path, help="folder with the labels that implanting needs")
    library.set_defaults(action=_library)

    implant = commands.add_parser("implant", help="put tumors and cysts into kidneys of a real CT")
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
    implant.add_argument("--seed", type=int, default=0, help="another seed is another draw")
    implant.set_defaults(action=_implant)

    add_data_command(commands)
    add_report_command(commands)
    add_worker_command(commands)
    add_jobs_command(commands)
    add_inspect_command(commands)
    checksums = add_checksums_command(commands)

    export = commands.add_parser("export", help="make a bundle's weights of a training run")
    export.add_argument("train_dir", type=Path, help="output_dir of the training")
    export.add_argument("bundle", type=Path, help="folder of the bundle")
    export.add_argument("--last", action="store_true", help="not the best in validation")
    export.set_defaults(action=_export)
    for command in (
        *(sample, summary, evaluate, bench, gate, accuracy),
        *(library, implant, export, checksums),
    ):
        command.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def _run(options: argparse.Namespace) -> None:
    require_memory()
    import_monai_quickly()
    from renalseg import segment
    from renalseg.report.terminal import print_result

    segment(
        options.dicom_in,
        options.seg_out,
        bundles=options.model,
        **choices(options),
    )
    print_result(options.seg_out)


def _archive(options: argparse.Namespace) -> int:
    require_memory()
    import_monai_quickly()
    from renalseg.archive import SUMMARY_FILE, segment_archive, worst
    from renalseg.settings import Settings

    settings = Settings.resolve(bundles=options.model, **choices(options))
    start = time.perf_counter()
    outcomes = segment_archive(options.root, options.out_root, settings, again=options.again)
    hours = (time.perf_counter() - start) / 3600
    if not outcomes:
        print("every study has its result already; --again makes them anew")
        return 0
    codes = [outcome.exit_code for outcome in outcomes]
    rate = f"{len(codes) / hours:.0f} studies an hour"
    print(f"{codes.count(0)} of {len(codes)} studies segmented, {rate}")
    print(options.out_root / SUMMARY_FILE)
    return worst(codes)


def _sample(options: argparse.Namespace) -> None:
    from renalseg.synthesis.sample import write_sample

    if not 2 <= options.slices <= 2000:
        raise ConfigError(f"Expected 2 to 2000 slices, got {options.slices}")
    write_sample(options.out_dir, options.seed, options.slices)
    print(f"{options.slices} slices in {options.out_dir / 'dicom'}, label beside them")


def _summary(options: argparse.Namespace) -> None:
    from renalseg.report.terminal import print_result

    print_result(options.folder)


def _evaluate(options: argparse.Namespace) -> None:
    from renalseg.evaluation.run import evaluate

    evaluate(options.pred, options.label, options.out)


def _bench(options: argparse.Namespace) -> None:
    from renalseg.benchmark.report import make_console, print_report
    from renalseg.benchmark.run import Options, run_benchmark

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
        from renalseg.benchmark.store import to_json

        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(to_json(benchmark))
    if options.plot:
        from renalseg.benchmark.plot import save_growth

        save_growth(benchmark, options.plot)
    print_report(benchmark, make_console())


def _gate(options: argparse.Namespace) -> None:
    from renalseg.accuracy.gate import run_gate

    run_gate(
        options.case,
        options.samples,
        slices=options.slices,
        methods=options.method,
        device=options.device,
        markdown=options.markdown,
        json=options.json,
    )


def _accuracy(options: argparse.Namespace) -> None:
    from renalseg.accuracy.cards import check_cards, write_cards
    from renalseg.accuracy.measure import measure_accuracy
    from renalseg.accuracy.report import MARK, markdown
    from renalseg.markdown import check_marks, put_between
    from renalseg.settings import Settings

    bundles = Settings.resolve(device=options.device).bundles
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


def _library(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from renalseg.synthesis.library import make_library

    made = make_library(options.out_dir, options.phantoms, options.implanted, options.data)
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
    print(f"{implanted} of {options.count} lesions fit; image and label in {options.out_dir}")


def _export(options: argparse.Namespace) -> None:
    from renalseg.training import export_weights

    if not (options.bundle / "configs").is_dir():
        raise InputError(f"Expected a bundle with a folder configs, found none at {options.bundle}")
    model = options.bundle / "models" / "model.pt"
    print(export_weights(options.train_dir, model, last=options.last))
    if (options.bundle / MANIFEST).is_file():
        print(write_manifest(options.bundle))


if __name__ == "__main__":
    program()

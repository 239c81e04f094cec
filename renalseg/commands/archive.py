"""What ``renalseg archive`` does: many studies, by one method or by several."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError, plural
from renalseg.runtime.imports import import_monai_quickly
from renalseg.runtime.process import require_memory

RAY = "ray"


def run_archive(options: argparse.Namespace, choices: Mapping[str, Any]) -> int:
    """Segments the studies of a folder, by each method that is asked for.

    Args:
        options: Of the command line: root, out_root, model, again, compare, review, engine and
            cores.
        choices: Arguments of `Settings.resolve`; "method" is a list, or None.

    Returns:
        The exit code.

    Raises:
        ConfigError: Two methods are the same.
    """
    require_memory()
    import_monai_quickly()
    from renalseg.archive import worst
    from renalseg.settings import ENSEMBLE, Settings

    methods = choices["method"] or [None]
    settings = [
        Settings.resolve(bundles=options.model, **{**choices, "method": method})
        for method in methods
    ]
    if len(settings) == 1:
        return worst(_segment(options, options.out_root, settings[0]))
    # the name of a folder; Windows allows no "|" in it
    names = [each.choice.algorithm.replace(ENSEMBLE, ",") for each in settings]
    if len(set(names)) < len(names):
        raise ConfigError(f"Expected different methods, got {', '.join(names)}")
    codes = []
    for name, each in zip(names, settings, strict=True):
        print(f"{name}:")
        codes += _segment(options, options.out_root / name, each)
    from renalseg.output.methods_table import METHODS_FILE, put_methods

    _print_side_by_side(put_methods(options.out_root, names), names)
    print(options.out_root / METHODS_FILE)
    return worst(codes)


def _segment(options: argparse.Namespace, out_root: Path, settings: Any) -> list[int]:
    """Segments the studies and compares those of one patient; gives their exit codes."""
    from renalseg.output.archive_table import SUMMARY_FILE, put_review_first

    codes = _segment_all(options, out_root, settings)
    if options.review and (out_root / SUMMARY_FILE).is_file():
        count = put_review_first(out_root / SUMMARY_FILE)
        print(f"{plural(count, 'study', 'studies')} to review, first in {SUMMARY_FILE}")
    if options.compare and out_root.is_dir():
        from renalseg.followup.archive import FOLDER, compare_archive

        if written := compare_archive(options.root, out_root):
            print(f"{plural(len(written), 'comparison')} of two studies of a patient")
            print(out_root / FOLDER)
    return codes


def _segment_all(options: argparse.Namespace, out_root: Path, settings: Any) -> list[int]:
    """The exit codes of the studies."""
    from renalseg.archive import SUMMARY_FILE, Engine, in_this_process, segment_archive

    engine: Engine = in_this_process
    if options.engine == RAY:
        from renalseg.cluster import on_ray

        engine = partial(on_ray, cores=options.cores)
    start = time.perf_counter()
    outcomes = segment_archive(options.root, out_root, settings, again=options.again, engine=engine)
    hours = (time.perf_counter() - start) / 3600
    if not outcomes:
        print("every study already has a result; --again segments them again")
        return []
    codes = [outcome.exit_code for outcome in outcomes]
    rate = f"{len(codes) / hours:.0f} studies per hour"
    print(f"{codes.count(0)} of {plural(len(codes), 'study', 'studies')} segmented, {rate}")
    print(out_root / SUMMARY_FILE)
    return codes


def _print_side_by_side(lines: Iterable[Mapping[str, str]], methods: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("study")
    for name in methods:
        table.add_column(Text(name), justify="right")
    for line in lines:
        cells = (_cell(line, name) for name in methods)
        table.add_row(Text(line["study"]), *map(Text, cells))
    Console(highlight=False).print(table)


def _cell(line: Mapping[str, str], method: str) -> str:
    """What a method found in a study, as in "kidney 312.0 ml, tumor 4.1 ml"."""
    kinds = ("kidney", "tumor", "cyst")
    volumes = {kind: line[f"{method} {kind}_ml"] for kind in kinds}
    found = [f"{kind} {ml} ml" for kind, ml in volumes.items() if ml and float(ml)]
    return ", ".join(found) or line[f"{method} finding"]

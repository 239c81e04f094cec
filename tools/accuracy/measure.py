"""`python -m tools accuracy`: methods on real CTs and on synthetic CTs of held-out anatomies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from renalseg.errors import ConfigError, InputError
from renalseg.evaluation.score_files import to_json, write_rows
from renalseg.inference.metadata import read_metadata
from renalseg.inference.models import Models
from renalseg.runtime.progress import announce, steps
from renalseg.settings import DEFAULT_METHOD, Settings, available_methods
from tools.accuracy.kept import Kept
from tools.accuracy.suites.phases import phases
from tools.accuracy.suites.real_ct import real_ct
from tools.accuracy.suites.slices import real_slices
from tools.accuracy.suites.suite import Record, Suite
from tools.accuracy.suites.synthetic import synthetic
from tools.accuracy.verdict_tables import conditions

RESULT_FILE, CASES_FILE = "accuracy.json", "cases.csv"
SUITES: Mapping[str, Callable[[Path, int], Suite]] = {
    "phases": lambda data_dir, count: phases(data_dir),
    "real_ct": lambda data_dir, count: real_ct(data_dir),
    "synthetic": synthetic,
    "slices": lambda data_dir, count: real_slices(data_dir),
}


def measure_accuracy(
    data_dir: Path,
    out_dir: Path,
    *,
    methods: Sequence[str] = (),
    suites: Sequence[str] = (),
    count: int = 20,
    device: str | None = None,
    again: bool = False,
) -> dict[str, Any]:
    """Measures the shipped bundles of methods, and writes accuracy.json and cases.csv.

    Args:
        data_dir: Folder with the data of the suites; suites without data are left out.
        out_dir: Gets the results, and keeps finished cases, which are not repeated.
        methods: Names; none for all available.
        suites: Keys of `SUITES`; none: all.
        count: Synthetic CTs with tumors; half as many without are drawn in addition.
        device: As in `Settings.resolve`.
        again: Repeat finished cases.

    Returns:
        What accuracy.json holds.

    Raises:
        ConfigError: A method does not exist, or the count is below 1.
        InputError: The data of no suite is there.
    """
    if count < 1:
        raise ConfigError(f"Expected one synthetic CT or more, got {count}")
    if not methods:
        folder = Settings.resolve(device=device).choice.bundles
        methods = (DEFAULT_METHOD, *available_methods(folder))
    choices = [Settings.resolve(method=method, device=device) for method in methods]
    chosen = _present(data_dir, suites or tuple(SUITES), count)
    records = _measure_all(choices, chosen, out_dir, again)
    content: dict[str, Any] = {
        "conditions": conditions(choices[0].choice.device),
        "methods": [_describe(settings, chosen, records) for settings in choices],
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / RESULT_FILE).write_text(to_json(content), encoding="utf-8")
    rows = [
        {"method": method["method"], "suite": name, **row}
        for method in content["methods"]
        for name, suite in method["suites"].items()
        for row in suite["cases"]
    ]
    write_rows(out_dir / CASES_FILE, rows)
    return content


Records = dict[tuple[str, str], list[Record]]


def _present(data_dir: Path, names: Sequence[str], count: int) -> list[Suite]:
    """The suites whose data is available."""
    found = []
    for name in names:
        try:
            found.append(SUITES[name](data_dir, count))
        except InputError as error:
            announce(f"Left out: {name}. {error}")
    if not found:
        raise InputError(f"Expected the data of a suite in {data_dir}, found none")
    return found


def _measure_all(
    choices: Sequence[Settings], suites: Sequence[Suite], out_dir: Path, again: bool
) -> Records:
    """The records of each method and suite; a case is loaded once for all methods."""
    records: Records = {(s.choice.algorithm, suite.name): [] for s in choices for suite in suites}
    cases = [(suite, name) for suite in suites for name in suite.cases]
    kept = {settings: Kept(out_dir, settings) for settings in choices}
    with ExitStack() as stack, steps("case") as progress:
        models = _Loaded(stack)
        for done, (suite, name) in enumerate(cases):
            progress(done, len(cases))
            found = {s: None if again else kept[s].get(suite.name, name) for s in choices}
            case = suite.cases[name]() if None in found.values() else None
            for settings, record in found.items():
                if record is None and case is not None:
                    record = suite.measure(models.of(settings), name, case)
                    kept[settings].put(suite.name, name, record)
                if record is not None:
                    records[settings.choice.algorithm, suite.name].append(record)
    return records


class _Loaded:
    """Models, each loaded when first used and closed with a stack of contexts."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.models: dict[Settings, Models] = {}

    def of(self, settings: Settings) -> Models:
        if settings not in self.models:
            self.models[settings] = self.stack.enter_context(Models(settings.choice))
        return self.models[settings]


def _describe(settings: Settings, suites: Sequence[Suite], records: Records) -> dict[str, Any]:
    versions = {folder.name: read_metadata(folder)["version"] for folder in settings.choice.folders}
    results = {}
    for suite in suites:
        own = records[settings.choice.algorithm, suite.name]
        rows = [suite.row(record) for record in own]
        results[suite.name] = {"summary": suite.summarize(own), "cases": rows}
    return {"method": settings.choice.algorithm, "bundles": versions, "suites": results}

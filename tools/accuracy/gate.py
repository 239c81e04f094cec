"""The gate that every speed-up has to pass: `python -m tools gate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from renalseg.errors import ConfigError
from renalseg.runtime.progress import announce
from renalseg.settings import DEFAULT_METHOD, Settings, available_methods
from tools.accuracy import verdict_tables
from tools.accuracy.scored_cases import ScoredCase, drawn_cases
from tools.accuracy.variants import Measured, measure_apart, variants_for
from tools.accuracy.verdict import judge, require_fit_defaults
from tools.markdown import check_marks, put_between

MARK = "gate"  # of the tables in a document


def run_gate(
    cases: Sequence[tuple[str, str]],
    samples: int,
    *,
    slices: int = 100,
    methods: Sequence[str] = (),
    device: str | None = None,
    markdown: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measures the variants of methods and says which of them cost accuracy.

    Args:
        cases: CT and label, as `ScoredCase.parse` takes them.
        samples: Number of additional synthetic cases.
        slices: Of each synthetic case.
        methods: Names; none for all available.
        device: As in `Settings.resolve`.
        markdown: Document that gets the tables between its markers; by default the terminal gets
            them.
        json: File that gets everything measured.

    Raises:
        ConfigError: There is no case, or no place for the tables.
        InputError: A case cannot be read.
        RenalSegError: The shipped settings of a method cost accuracy; everything is written by
            then.
    """
    if not cases and samples < 1:
        raise ConfigError("Expected a case or a sample to measure on, got none")
    if markdown is not None:
        check_marks(markdown, MARK)
    given = [ScoredCase.parse(ct, label) for ct, label in cases]
    for case in given:
        case.truth(case.image())  # invalid input is refused before hours of work
    device_of = Settings.resolve(device=device)
    choices = [
        Settings.resolve(method=method, device=device)
        for method in methods or (DEFAULT_METHOD, *available_methods(device_of.choice.bundles))
    ]
    with drawn_cases(samples, slices) as drawn:
        verdicts = judge(_measure_all(choices, [*given, *drawn]))
    where = verdict_tables.conditions(device_of.choice.device)
    text = verdict_tables.markdown(verdicts, where)
    if json is not None:
        json.write_text(verdict_tables.to_json(verdicts, where), encoding="utf-8")
    if markdown is None:
        sys.stdout.write(text)
    else:
        put_between(markdown, MARK, text)
    require_fit_defaults(verdicts)


def _measure_all(choices: Sequence[Settings], cases: Sequence[ScoredCase]) -> list[Measured]:
    measured = []
    for settings in choices:
        for variant, overrides in variants_for(settings.choice.device).items():
            announce(f"{settings.choice.algorithm}: {variant}")
            measured.append(measure_apart(settings, variant, overrides, cases))
    return measured

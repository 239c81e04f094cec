"""Scores predictions against labels, compares methods, and says and saves the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from renalseg.errors import EXIT_REFUSED, InputError, some_of
from renalseg.evaluation.case_score import CaseScore, score_case
from renalseg.evaluation.compare import Comparison, compare
from renalseg.evaluation.pairs import LeftOut, Pair, find_pairs
from renalseg.evaluation.read import find_ct, read_ct, read_pair
from renalseg.evaluation.score_files import to_json, write_scores
from renalseg.evaluation.summary import Summary, summarize
from renalseg.evaluation.terminal import (
    print_comparison,
    print_left_out,
    print_summary,
    print_worst,
)
from renalseg.evaluation.worst import MOST, worst_cases
from renalseg.runtime.progress import announce, steps

PLOT_FILE, WORST, COMPARISON_FILE = "summary.png", "worst", "comparison.json"


@dataclass(frozen=True)
class Evaluation:
    """The scores of a method.

    Attributes:
        name: That of its file or folder.
        scores: Of the cases.
        left_out: What has no scores, and why.
        summary: Of the scores.
        pairs: The files of each case.
    """

    name: str
    scores: tuple[CaseScore, ...]
    left_out: tuple[LeftOut, ...]
    summary: Summary
    pairs: dict[str, Pair]

    @property
    def exit_code(self) -> int:
        """0 if every label has a score; else that of a refused input."""
        return EXIT_REFUSED if any(each.labeled for each in self.left_out) else 0


def evaluate(
    preds: Path | Sequence[Path],
    label: Path,
    out_dir: Path | None = None,
    *,
    images: Path | None = None,
    ignore_origin: bool = False,
    worst: int = MOST,
) -> list[Evaluation]:
    """Scores the predictions of one or more methods, prints the summaries, and saves all.

    A case of several that cannot be scored is left out, and listed.

    Args:
        preds: A prediction or a folder of them, as `find_pairs` takes it; or several, of which each
            further one is compared with the first.
        label: A label or a folder of them.
        out_dir: Gets cases.csv, summary.json, summary.png and pictures of the worst cases; of
            several methods, a folder for each, comparison.html and comparison.json.
        images: Folder of the CTs, for the pictures; see `renalseg.evaluation.read.find_ct`.
        ignore_origin: Match voxel by voxel, where labels have no origin.
        worst: How many cases with the lowest scores are shown.

    Returns:
        The scores of each method, in the given order.

    Raises:
        InputError: There is no case, or none can be scored.
    """
    paths = [preds] if isinstance(preds, Path) else list(preds)
    done = []
    for path, name in zip(paths, _names(paths), strict=True):
        scored = _score(name, path, label, images, ignore_origin=ignore_origin)
        done.append(scored)
        several = len(scored.scores) > 1
        print_summary(
            scored.summary,
            None if several else scored.scores[0],
            method=name if len(paths) > 1 else None,
        )
        lowest = worst_cases(scored.scores, worst) if several else list(scored.scores[:worst])
        if several and lowest:
            print_worst(lowest)
        print_left_out(scored.left_out)
        if out_dir is not None:
            folder = out_dir / name if len(paths) > 1 else out_dir
            _save(scored, folder)
            _save_pictures(lowest, scored, folder, images, ignore_origin=ignore_origin)
    comparisons = [compare(done[0].name, done[0].scores, e.name, e.scores) for e in done[1:]]
    for comparison in comparisons:
        print_comparison(comparison)
    if out_dir is not None and comparisons:
        _save_comparisons(comparisons, out_dir)
    return done


def _score(
    name: str, pred: Path, label: Path, images: Path | None, *, ignore_origin: bool
) -> Evaluation:
    pairs, left_out = find_pairs(pred, label)
    scores = []
    with steps("case") as progress:
        for done, pair in enumerate(pairs):
            progress(done, len(pairs))
            try:
                ct = find_ct(pair, images, alone=len(pairs) == 1)
                scores.append(
                    score_case(pair.case, *read_pair(pair, ct, ignore_origin=ignore_origin))
                )
            except InputError as error:
                if not label.is_dir():
                    raise
                left_out.append(LeftOut(pair.case, str(error)))
    if not scores:
        reasons = some_of((f"{each.case}: {each.reason}" for each in left_out), most=3)
        raise InputError(f"Expected a case that can be scored in {pred}, found none: {reasons}")
    by_case = {pair.case: pair for pair in pairs}
    return Evaluation(name, tuple(scores), tuple(left_out), summarize(scores), by_case)


def _save(scored: Evaluation, folder: Path) -> None:
    from renalseg.evaluation.plot import save_summary

    write_scores(folder, scored.scores, scored.summary, scored.left_out)
    save_summary(scored.scores, scored.summary, folder / PLOT_FILE)


def _save_pictures(
    lowest: Sequence[CaseScore],
    scored: Evaluation,
    folder: Path,
    images: Path | None,
    *,
    ignore_origin: bool,
) -> None:
    from renalseg.evaluation.worst import save_case

    for earlier in (folder / WORST).glob("*.png"):
        earlier.unlink()
    for score in lowest:
        pair = scored.pairs[score.case]
        path = find_ct(pair, images, alone=len(scored.pairs) == 1)
        pred, label = read_pair(pair, path, ignore_origin=ignore_origin)
        ct = None
        try:
            ct = None if path is None else read_ct(path, label)
        except InputError as error:
            announce(f"Warning: the picture of {pair.case} shows no CT: {error}")
        save_case(score, pred, label, ct, folder / WORST / f"{pair.case}.png")


def _save_comparisons(comparisons: Sequence[Comparison], out_dir: Path) -> None:
    from renalseg.evaluation.comparison_page import PAGE_FILE, save_page

    save_page(comparisons, out_dir / PAGE_FILE)
    content = [
        {
            "first": each.first,
            "second": each.second,
            "cases": len(each.pairs),
            "only": each.only,
            "differences": {name: asdict(value) for name, value in each.differences.items()},
        }
        for each in comparisons
    ]
    (out_dir / COMPARISON_FILE).write_text(to_json(content), encoding="utf-8")


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each method: that of its folder, or with the folder above where two share it."""
    resolved = [path.resolve() for path in paths]
    counts = Counter(path.name for path in resolved)
    names = [p.name if counts[p.name] == 1 else f"{p.parent.name}-{p.name}" for p in resolved]
    if len(set(names)) < len(names):
        raise InputError(f"Expected different predictions, found {some_of(names, joint=', ')}")
    return names

"""The command `renalseg evaluate`."""

from __future__ import annotations

from pathlib import Path

from renalseg.evaluation.case_score import CaseScore, score_case
from renalseg.evaluation.pairs import Pair, find_pairs
from renalseg.evaluation.read import read_labels, read_prediction
from renalseg.evaluation.score_files import write_scores
from renalseg.evaluation.summary import Summary, summarize
from renalseg.evaluation.terminal import print_summary
from renalseg.runtime.progress import steps

PLOT_FILE = "summary.png"


def evaluate(pred: Path, label: Path, out_dir: Path | None = None) -> Summary:
    """Scores predictions, prints the summary, and saves all if asked to.

    Args:
        pred: A prediction or a folder of them, as `find_pairs` takes it.
        label: A label or a folder of them.
        out_dir: Gets cases.csv, summary.json and summary.png.

    Returns:
        The summary.

    Raises:
        InputError: A file is missing, cannot be read, or is on another grid than its label.
    """
    pairs = find_pairs(pred, label)
    scores = []
    with steps("case") as progress:
        for done, pair in enumerate(pairs):
            progress(done, len(pairs))
            scores.append(score_pair(pair))
    summary = summarize(scores)
    if out_dir is not None:
        from renalseg.evaluation.plot import save_summary

        write_scores(out_dir, scores, summary)
        save_summary(scores, summary, out_dir / PLOT_FILE)
    print_summary(summary, scores[0] if len(scores) == 1 else None)
    return summary


def score_pair(pair: Pair) -> CaseScore:
    """Reads and scores one case.

    Raises:
        InputError: A file cannot be read, or the grids differ.
    """
    label = read_labels(pair.label)
    return score_case(pair.case, read_prediction(pair.pred, label), label)

"""Two real CTs with labeled kidneys and no tumors: any tumor found is false."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tools.accuracy.scored_cases import ScoredCase
from tools.accuracy.suites.chain import chain_row, measure_chain, summarize_chain
from tools.accuracy.suites.suite import Labeled, Suite, require

_NONE: frozenset[int] = frozenset()


def real_ct(data_dir: Path) -> Suite:
    """3D-IRCADb patient 17, and the small example of TotalSegmentator.

    Args:
        data_dir: Folder with ct/ircadb17 and ct/totalseg.

    Raises:
        InputError: They are not there.
    """
    ircadb, example = data_dir / "ct" / "ircadb17", data_dir / "ct" / "totalseg"
    cases = [
        ScoredCase("3D-IRCADb 17", ircadb / "dicom", ircadb / "kidney_silver.nii.gz", tumor=_NONE),
        ScoredCase(
            "TotalSegmentator example",
            example / "example_ct_sm.nii.gz",
            example / "example_seg.nii.gz",
            kidney=frozenset({2, 3}),
            tumor=_NONE,
        ),
    ]
    require(*(path for case in cases for path in (case.ct, case.label)))
    loaders = {case.name: partial(_load, case) for case in cases}
    return Suite("real_ct", loaders, measure_chain, chain_row, summarize_chain)


def _load(case: ScoredCase) -> Labeled:
    image = case.image()
    return Labeled(image, case.truth(image))

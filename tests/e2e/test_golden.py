"""No result of a method changes by accident: its plain run gives the golden label map."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from renalseg.settings import DEFAULT_METHOD
from tests.golden import METHODS, MOST, PLAIN, dice, load, predict, require_golden, sha256

# Dice of the run as shipped (bfloat16, on CPUs by OpenVINO) against the plain run. Seen on this CT:
# 0.9986 or more for the kidney, least in mrb, and 0.9907 or more for tumors, least in msvnet.
LEAST_KIDNEY, LEAST_TUMOR = 0.998, 0.99

default_first = pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=() if m == DEFAULT_METHOD else pytest.mark.slow) for m in METHODS],
)


@default_first
def test_the_plain_run_gives_the_golden(method: str) -> None:
    differing = require_golden(method, predict(method, PLAIN))
    if differing:
        warnings.warn(f"{differing} voxels differ from the golden of {method}", stacklevel=1)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_run_as_shipped_agrees_with_the_golden(method: str) -> None:
    scores = dice(predict(method), load(method)[1])
    assert scores["kidney"] >= LEAST_KIDNEY
    assert not scores["tumor"] < LEAST_TUMOR  # NaN where neither has a tumor


@pytest.mark.slow
def test_a_window_moved_by_a_few_hu_is_noticed() -> None:
    with pytest.raises(AssertionError, match="voxels differ"):
        require_golden("resvnet", predict("resvnet", {**PLAIN, "window": [-125.0, 190.0]}))


@pytest.mark.parametrize("method", METHODS)
def test_the_label_map_is_the_one_of_the_hash(method: str) -> None:
    facts, pred = load(method)
    assert facts.sha256 == sha256(pred)
    assert facts.kidney > 1000
    assert require_golden(method, pred) == 0


def test_only_as_many_voxels_as_rounding_moves_may_differ() -> None:
    facts, pred = load("resvnet")
    allowed = int(MOST * (facts.kidney + facts.tumor))
    changed = pred.copy().ravel()
    changed[:allowed] = 1
    assert require_golden("resvnet", changed.reshape(pred.shape)) == allowed
    changed[allowed] = 1
    with pytest.raises(AssertionError, match=r"python -m tests\.golden resvnet"):
        require_golden("resvnet", changed.reshape(pred.shape))


def test_another_shape_is_another_result() -> None:
    pred = load("resvnet")[1]
    with pytest.raises(AssertionError, match=f"{pred.size} voxels differ"):
        require_golden("resvnet", np.swapaxes(pred, 0, 1))

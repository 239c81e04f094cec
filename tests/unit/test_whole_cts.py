from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from renalseg.data.case_lists import Fold, labeled_cases
from renalseg.errors import ConfigError, InputError
from renalseg.runtime.checksums import write_manifest
from renalseg.training.whole_cts import WholeCTs, make_whole_cts
from tests.factories.bundles import write_bundle
from tests.factories.kits import write_case

CPU = torch.device("cpu")


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    for number in (1, 2, 3, 4):
        write_case(tmp_path / "kits", number)
    return tmp_path / "kits"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A localizer whose kidneys are what is denser than its bias says."""
    return write_bundle(tmp_path / "kidney_tiny")


def validate(whole: WholeCTs, biases: Sequence[float], out: Path) -> list[dict[str, float]]:
    """The metrics of epochs in which the network has these biases."""
    network = nn.Conv3d(1, 1, 1)
    nn.init.ones_(network.weight)
    engine: Any = Engine(lambda *_: [{"loss": 0.0}])
    engine.optimizer = SimpleNamespace(param_groups=[{"lr": 0.5}])
    found: list[dict[str, float]] = []

    def begin(engine: Engine) -> None:
        engine.state.metrics = {}
        nn.init.constant_(network.bias, biases[engine.state.epoch - 1])

    engine.add_event_handler(Events.EPOCH_STARTED, begin)
    whole.follow(engine, network, out)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: found.append(e.state.metrics))
    engine.run([0], max_epochs=len(biases))
    return found


def best_bias(out: Path) -> float:
    return float(torch.load(out / "best.pt", weights_only=True)["bias"])


def test_the_weights_that_find_the_kidneys_are_kept(
    kits: Path, bundle: Path, tmp_path: Path
) -> None:
    cases = labeled_cases(kits, "validation", Fold(frozenset({"case_00002"})))
    whole = WholeCTs(bundle, {}, cases, 1, CPU)
    nothing, kidneys, bone = validate(whole, [-2000.0, -5.0, -800.0], tmp_path)
    assert nothing["cts"] == 0
    assert kidneys["cts"] == kidneys["cts_kidney_dice"] > 0.9
    assert bone["cts"] == 0
    assert best_bias(tmp_path) == -5.0
    assert (whole.best, whole.best_epoch) == (kidneys["cts"], 2)
    assert not (tmp_path / "validating.pt").exists()


def test_every_second_epoch_and_the_last_are_measured(
    kits: Path, bundle: Path, tmp_path: Path
) -> None:
    whole = WholeCTs(bundle, {}, labeled_cases(kits)[:1], 2, CPU)
    assert ["cts" in one for one in validate(whole, [-5.0] * 3, tmp_path)] == [False, True, True]


def test_a_resumed_training_keeps_better_weights_of_before(
    kits: Path, bundle: Path, tmp_path: Path
) -> None:
    first, second = (WholeCTs(bundle, {}, labeled_cases(kits)[:1], 1, CPU) for _ in range(2))
    validate(first, [-5.0], tmp_path)
    second.load_state_dict(first.state_dict())
    validate(second, [-2000.0], tmp_path)
    assert best_bias(tmp_path) == -5.0
    assert second.best_epoch == 1


def make(bundle: Path, kits: Path, **settings: Any) -> WholeCTs | None:
    given = {"fold": Fold(frozenset({"case_00001", "case_00003", "case_00004"})), "count": 9}
    return make_whole_cts(
        bundle=bundle, inference={}, source=kits, **given | {"every": 1, "device": CPU} | settings
    )


def names(whole: WholeCTs | None) -> list[str]:
    assert whole is not None
    return [case.name[-1] for case in whole.cases]


def test_cases_of_the_fold_are_spread_over_it(kits: Path, bundle: Path) -> None:
    assert names(make(bundle, kits)) == ["1", "3", "4"]
    assert names(make(bundle, kits, count=2)) == ["1", "4"]


def test_it_can_be_left_out_and_only_the_first_process_has_it(
    kits: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(bundle, kits, every=0) is None
    monkeypatch.setenv("RANK", "1")
    assert make(bundle, kits) is None


def test_what_would_end_the_first_validation_ends_the_start(kits: Path, bundle: Path) -> None:
    with pytest.raises(ConfigError, match="got 0"):
        make(bundle, kits, count=0)
    with pytest.raises(InputError, match=r"real cases for validation in .*kits, found none"):
        make(bundle, kits, fold=Fold(frozenset()))
    write_manifest(bundle)
    (bundle / "configs" / "inference.yaml").write_text("changed: 1\n")
    with pytest.raises(ConfigError, match=r"inference\.yaml"):
        make(bundle, kits)

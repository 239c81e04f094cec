from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from ignite.engine import Engine

from renalseg.errors import ConfigError
from renalseg.training import tracking
from renalseg.training.tracking import track


def trainer() -> Engine:
    return Engine(lambda engine, loss: [{"loss": loss}])


def test_without_mlflow_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'renalseg\[mlflow\]'"):
        track(trainer(), tmp_path, 1, mlflow="sqlite:///runs.db")


def test_losses_go_to_tensorboard(tmp_path: Path) -> None:
    engine = trainer()
    track(engine, tmp_path, 1)
    engine.run([0.5])
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_no_bar_where_nobody_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = trainer()
    track(engine, tmp_path, 2)
    engine.run([0.5, 0.25])
    assert "it/s" not in capsys.readouterr().err


def test_a_bar_shows_the_loss_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "bar_wanted", lambda: True)
    engine = trainer()
    track(engine, tmp_path, 2)
    engine.run([0.5, 0.25])
    assert "loss=0.25" in capsys.readouterr().err


def test_an_error_under_a_bar_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "bar_wanted", lambda: True)

    def fail(engine: Engine, loss: float) -> None:
        raise ValueError("broken")

    engine = Engine(fail)
    track(engine, tmp_path, 1)
    with pytest.raises(ValueError, match="broken"):
        engine.run([0.5])


def test_mlflow_is_not_imported_unless_asked_for(tmp_path: Path) -> None:
    track(trainer(), tmp_path, 1)
    assert "mlflow" not in sys.modules

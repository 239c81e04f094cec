"""A benchmark of one method on a tiny study, with everything that it compares with but nnU-Net."""

from __future__ import annotations

import pytest

from tools.benchmark.all_methods import Options, run_benchmark
from tools.benchmark.nnunet import INSTALL
from tools.benchmark.report import from_json, to_json
from tools.benchmark.throughput import STUDIES
from tools.benchmark.whole_job import why_no_graph


@pytest.mark.slow
def test_one_run_measures_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(*arguments: object) -> None:
        raise ImportError("nnunetv2")

    monkeypatch.setattr("tools.benchmark.all_methods.measure_nnunet", absent)
    options = Options(slices=(64,), methods=("resvnet",), repeat=1, device="cpu", size=96)
    measured = run_benchmark(options)

    (result,) = measured.methods
    assert [windows.bundle for windows in result.windows] == ["kidney_resvnet", "tumor_resvnet"]
    assert all(windows.count == 1 for windows in result.windows)
    assert 0 < result.network_seconds < result.job.seconds
    assert result.eager_seconds is not None
    assert result.job.around_seconds > 0
    assert result.job.peak_mib > 200
    assert (result.graph is None) == (why_no_graph() is not None)
    assert measured.bound_seconds(result)
    assert measured.throughput is not None
    assert len(measured.throughput.seconds) == STUDIES
    assert 0 < measured.throughput.seconds_per_study < result.job.seconds
    assert measured.stock is not None
    assert list(measured.stock.seconds) == ["load", "preprocess", "slide", "restore", "save"]
    assert measured.stock.windows > 1
    assert INSTALL in measured.skipped
    assert from_json(to_json(measured)) == measured
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert lines[-1].startswith(f"[{len(lines)}/{len(lines)}]")

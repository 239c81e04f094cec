from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from renalseg.inference.engine import OpenVINOEngine
from tools.benchmark.networks import Recorder, eager_cost, torch_network
from tools.benchmark.stock import CLASSES, StandIn
from tools.machine import describe, matmul_rate

CPU = torch.device("cpu")


class Sleeper(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.01)
        return x + 1


def test_a_recorder_gives_the_output_of_its_network() -> None:
    x = torch.rand(1, 1, 4, 4, 4)
    assert torch.equal(Recorder(Sleeper())(x), x + 1)


def test_a_recorder_counts_and_times_the_calls_of_each_shape() -> None:
    recorder = Recorder(Sleeper())
    for size in (4, 4, 8):
        recorder(torch.zeros(1, 1, size))
    small, large = recorder.windows("kidney_x", eager=False)
    assert (small.bundle, small.shape, small.count) == ("kidney_x", (1, 1, 4), 2)
    assert (large.shape, large.count) == ((1, 1, 8), 1)
    assert 0.02 <= small.seconds < 1.0
    assert small.eager_seconds is None
    assert small.flops is None


def test_a_recorder_measures_torch_with_the_first_input_of_a_shape() -> None:
    recorder = Recorder(Sleeper())
    first = torch.ones(1, 1, 4)
    recorder(first)
    first.zero_()  # the caller goes on with its memory
    recorder(torch.zeros(1, 1, 4))
    assert recorder.examples[1, 1, 4].sum() == 4
    (windows,) = recorder.windows("kidney_x", eager=True)
    assert windows.eager_seconds is not None
    assert 0.01 <= windows.eager_seconds < 1.0
    assert windows.flops == 0


@pytest.mark.parametrize(
    ("network", "shape", "flops"),
    [
        # outputs x inputs of each x 2
        (nn.Conv3d(2, 4, 3, padding=1), (1, 2, 5, 6, 7), 4 * 210 * 2 * 27 * 2),
        (nn.Conv3d(4, 4, 3, padding=1, groups=2), (1, 4, 5, 6, 7), 4 * 210 * 2 * 27 * 2),
        (nn.Conv3d(2, 4, 2, stride=2), (1, 2, 4, 4, 4), 4 * 8 * 2 * 8 * 2),
        # each input goes to all outputs of its kernel
        (nn.ConvTranspose3d(4, 2, 2, stride=2), (1, 4, 3, 3, 3), 4 * 27 * 2 * 8 * 2),
        (nn.Linear(6, 3), (5, 6), 5 * 6 * 3 * 2),
        (nn.Sequential(nn.InstanceNorm3d(2), nn.ReLU()), (1, 2, 4, 4, 4), 0),
    ],
)
def test_operations_are_those_of_convolutions_and_matrix_products(
    network: nn.Module, shape: tuple[int, ...], flops: int
) -> None:
    seconds, counted = eager_cost(network.eval(), torch.rand(shape))
    assert counted == flops
    assert 0 < seconds < 1


def test_the_torch_network_behind_an_engine_is_found() -> None:
    network = nn.Conv3d(1, 1, 1).eval()
    assert torch_network(OpenVINOEngine(network)) is network
    assert torch_network(network) is network


def test_the_rate_of_a_matrix_product_is_that_of_a_computer() -> None:
    assert 1e6 < matmul_rate(CPU, size=128, repeat=3) < 1e16


def test_the_machine_is_described_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "secret")
    machine = describe(CPU)
    assert machine.cores >= 1
    assert machine.memory_gib > 0.5
    assert machine.versions["torch"] == torch.__version__
    assert "secret" not in str(machine)
    assert str(Path.home()) not in str(machine)


def test_the_stand_in_gives_logits_of_each_class_and_counts_its_calls() -> None:
    stand_in = StandIn()
    logits = stand_in(torch.tensor([-1.0, 0.5, 1.0]).view(1, 1, 3, 1, 1))
    assert logits.shape == (1, CLASSES, 3, 1, 1)
    assert logits.argmax(1).flatten().tolist() == [0, 1, 2]
    assert stand_in.calls == 1

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from renalseg.inference.engine import OpenVINOEngine
from renalseg.inference.inferers import AutocastInferer, fast_dtype
from renalseg.inference.slice_inferers import CentralSlicesInferer, SliceStackInferer
from tools.image.networks import convert_stacks, stack_shapes

SHAPES = [(2, 5, x, y) for x in (64, 128, 192) for y in (64, 128, 192)]


class Recorder(OpenVINOEngine):
    """Notes what it is run on."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())
        self.seen: list[tuple[tuple[int, ...], bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((tuple(x.shape), torch.is_autocast_enabled("cpu")))
        return x


def bundle(inferer: Any, network: nn.Module | None = None) -> Any:
    return SimpleNamespace(
        inferer=inferer, network=network or Recorder(), device=torch.device("cpu")
    )


def stacks(multiple: int = 64) -> SliceStackInferer:
    return SliceStackInferer(slices=5, batch_size=2, multiple=multiple)


@pytest.mark.parametrize("inferer", [stacks(), AutocastInferer(stacks(), enabled=False)])
def test_stacks_are_prepared_for_each_size_of_slices(inferer: Any) -> None:
    assert list(stack_shapes(bundle(inferer))) == SHAPES


def test_slices_of_a_least_size_are_prepared_from_there_on() -> None:
    inferer = SliceStackInferer(slices=3, batch_size=2, multiple=32, least=(224, 160), beside=1)
    shapes = set(stack_shapes(bundle(inferer)))
    assert shapes == {(2, 4, x, y) for x in (224, 256, 288) for y in (160, 192, 224)}


@pytest.mark.parametrize("inferer", [stacks(multiple=1), CentralSlicesInferer()])
def test_inputs_of_any_size_are_left_out(inferer: Any) -> None:
    assert list(stack_shapes(bundle(inferer))) == []


def test_a_network_that_torch_runs_is_left_alone() -> None:
    assert list(stack_shapes(bundle(stacks(), nn.Identity()))) == []


@pytest.mark.parametrize("enabled", [False, True])
def test_the_network_runs_once_on_each_in_its_precision(enabled: bool) -> None:
    made = bundle(AutocastInferer(stacks(), enabled=enabled))
    convert_stacks(made)
    assert [shape for shape, _ in made.network.seen] == SHAPES
    half = enabled and fast_dtype(made.device) != torch.float32
    assert {seen for _, seen in made.network.seen} == {half}

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from renalseg.inference.slice_inferers import CentralSlicesInferer, SliceStackInferer

# CentralSlicesInferer


def slice_numbers(slices: int) -> Tensor:
    """A volume (1, 1, 2, 3, Z) whose slices have the values 1, 2, 3..."""
    return torch.arange(1.0, slices + 1).expand(1, 1, 2, 3, slices).clone()


@pytest.mark.parametrize("slices", [1, 3, 31, 32, 33, 63, 64, 65, 96, 150])
def test_every_slice_comes_from_exactly_one_window_and_from_its_center(slices: int) -> None:
    calls = []

    def network(window: Tensor) -> Tensor:
        number = torch.full_like(window, len(calls))
        place = torch.arange(window.shape[-1], dtype=window.dtype).expand_as(window)
        calls.append(window)
        return torch.cat([window, number, place], dim=1)

    values, number, place = CentralSlicesInferer()(slice_numbers(slices), network)[0]
    assert torch.equal(values, slice_numbers(slices)[0, 0])  # all slices, each in its place
    assert all(call.shape[-1] == 64 for call in calls)
    assert len(calls) == -(-slices // 32)
    assert number.unique().tolist() == list(range(len(calls)))
    assert place.min() >= 16
    assert place.max() < 48


def test_the_last_window_ends_with_the_volume() -> None:
    seen: list[Tensor] = []

    def network(window: Tensor) -> Tensor:
        seen.append(window[0, 0, 0, 0])
        return window

    CentralSlicesInferer(window=8, keep=4)(slice_numbers(10), network)
    assert seen[0].tolist() == [1, 1, 1, 2, 3, 4, 5, 6]
    assert seen[1].tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
    assert seen[2].tolist() == [5, 6, 7, 8, 9, 10, 10, 10]


@pytest.mark.parametrize(("window", "keep"), [(64, 31), (32, 64), (64, 0)])
def test_the_kept_slices_must_lie_in_the_middle(window: int, keep: int) -> None:
    with pytest.raises(ValueError, match=f"got {keep} and {window}"):
        CentralSlicesInferer(window, keep)


# SliceStackInferer


@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_each_slice_is_the_center_of_its_stack(batch_size: int) -> None:
    def network(stacks: Tensor) -> Tensor:
        assert stacks.shape[1:] == (5, 4, 6)
        assert len(stacks) == batch_size
        return stacks[:, [2, 0, 4]]

    volume = torch.rand(1, 1, 4, 6, 9)
    logits = SliceStackInferer(slices=5, batch_size=batch_size)(volume, network)
    assert torch.equal(logits[:, :1], volume)
    assert torch.equal(logits[0, 1, ..., 2:], volume[0, 0, ..., :-2])  # two slices below
    assert torch.equal(logits[0, 2, ..., :-2], volume[0, 0, ..., 2:])  # two slices above


@pytest.mark.parametrize("slices", [1, 8, 9])
def test_every_call_has_one_shape(slices: int) -> None:
    shapes = set()

    def network(stacks: Tensor) -> Tensor:
        shapes.add(tuple(stacks.shape))
        return stacks[:, [2]]

    volume = torch.rand(1, 1, 5, 19, slices)
    logits = SliceStackInferer(slices=5, batch_size=4, multiple=16)(volume, network)
    assert shapes == {(4, 5, 16, 32)}
    assert torch.equal(logits, volume)


def test_end_slices_are_repeated_beyond_the_ends() -> None:
    volume = torch.rand(1, 1, 4, 6, 3)
    logits = SliceStackInferer(slices=5)(volume, lambda stacks: stacks[:, [0, 4]])
    assert torch.equal(logits[0, 0, ..., 1], volume[0, 0, ..., 0])
    assert torch.equal(logits[0, 1, ..., 1], volume[0, 0, ..., 2])


def test_the_network_is_not_run_on_blank_slices() -> None:
    volume = torch.rand(1, 1, 4, 6, 5)
    volume[..., [0, 3]] = 0.5
    seen = []

    def network(stacks: Tensor) -> Tensor:
        seen.extend(stacks[:, 1])
        return torch.ones_like(stacks[:, :1])

    logits = SliceStackInferer(slices=3, batch_size=1, blank_logit=-9.0)(volume, network)
    assert torch.equal(torch.stack(seen, -1), volume[0, 0, ..., [1, 2, 4]])
    assert logits[0, 0, 0, 0].tolist() == [-9.0, 1.0, 1.0, -9.0, 1.0]


def test_a_blank_volume_has_the_channels_of_the_network() -> None:
    network = torch.nn.Conv2d(3, 2, kernel_size=1)
    logits = SliceStackInferer(slices=3, blank_logit=-9.0)(torch.zeros(1, 1, 4, 6, 5), network)
    assert logits.shape == (1, 2, 4, 6, 5)
    assert (logits[..., 1:] == -9).all()


def test_blank_slices_belong_to_the_background_where_there_is_one() -> None:
    network = torch.nn.Conv2d(3, 4, kernel_size=1)
    inferer = SliceStackInferer(slices=3, blank_logit=-9.0, background=0)
    logits = inferer(torch.zeros(1, 1, 4, 6, 5), network)
    assert logits[0, :, 0, 0, 3].tolist() == [0.0, -9.0, -9.0, -9.0]


def test_a_mirrored_slice_gives_the_other_half_of_the_mean() -> None:
    ramp = torch.arange(4.0)[:, None]

    def network(stacks: Tensor) -> Tensor:
        return stacks[:, [1]] + ramp  # what it says depends on the side

    volume = torch.rand(1, 1, 4, 6, 5)
    logits = SliceStackInferer(slices=3, batch_size=2, mirror=True)(volume, network)
    assert torch.allclose(logits, volume + 1.5)


def test_small_slices_are_padded_to_the_least_size() -> None:
    shapes = set()

    def network(stacks: Tensor) -> Tensor:
        shapes.add(tuple(stacks.shape[2:]))
        return stacks[:, [1]]

    inferer = SliceStackInferer(slices=3, batch_size=1, multiple=8, least=(32, 16))
    for size in ((5, 9), (33, 9)):
        volume = torch.rand(1, 1, *size, 4)
        assert torch.equal(inferer(volume, network), volume)
    assert shapes == {(32, 16), (40, 16)}


def test_of_further_channels_the_network_gets_the_slice_alone() -> None:
    volume = torch.rand(1, 2, 4, 6, 5)

    def network(stacks: Tensor) -> Tensor:
        assert stacks.shape[1] == 4
        return stacks[:, [1, 3]]

    logits = SliceStackInferer(slices=3, batch_size=2, multiple=8, beside=1)(volume, network)
    assert torch.equal(logits, volume)


def test_stacks_have_a_center() -> None:
    with pytest.raises(ValueError, match="odd number of slices, got 4"):
        SliceStackInferer(slices=4)

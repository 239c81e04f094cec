from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from renalseg.networks.attention import ChannelAttention3d, DualAttention3d, PositionAttention3d

SHAPE = (2, 16, 3, 4, 5)


def opened(module: nn.Module, gamma: float = 0.7) -> nn.Module:
    for name, parameter in module.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, gamma)
    return module


def naive_position(module: PositionAttention3d, x: Tensor) -> Tensor:
    """Equations 1 and 2 of the paper, word for word: one pair of voxels at a time."""
    query, key, value = (conv(x).flatten(2) for conv in (module.query, module.key, module.value))
    energy = torch.einsum("bci,bcj->bji", query, key)  # of voxel j toward voxel i
    weight = energy.exp() / energy.exp().sum(dim=1, keepdim=True)
    attended = torch.einsum("bji,bcj->bci", weight, value)
    return module.gamma * attended.reshape(x.shape) + x


def test_position_attention_is_the_formula() -> None:
    torch.manual_seed(0)
    module = opened(PositionAttention3d(16))
    x = torch.randn(SHAPE)
    torch.testing.assert_close(module(x), naive_position(module, x))  # type: ignore[arg-type]


def test_queries_and_keys_have_an_eighth_of_the_channels() -> None:
    module = PositionAttention3d(16)
    assert (module.query.out_channels, module.key.out_channels) == (2, 2)


def test_few_channels_leave_a_query() -> None:
    assert PositionAttention3d(4).query.out_channels == 1


def test_channel_attention_is_the_formula() -> None:
    module = opened(ChannelAttention3d())
    x = torch.randn(SHAPE)
    expected = torch.empty_like(x)
    for b in range(SHAPE[0]):
        features = x[b].flatten(1)
        similarity = features @ features.T / features.shape[1]
        weight = (-similarity).softmax(dim=1)  # the least similar weigh most
        expected[b] = 0.7 * (weight @ features).reshape(SHAPE[1:]) + x[b]
    torch.testing.assert_close(module(x), expected)


def test_channel_attention_does_not_depend_on_the_patch_size() -> None:
    module = opened(ChannelAttention3d())
    x = torch.randn(SHAPE)
    tiled = x.repeat(1, 1, 2, 2, 2)
    torch.testing.assert_close(module(tiled)[:, :, :3, :4, :5], module(x))


@pytest.mark.parametrize("module", [PositionAttention3d(16), ChannelAttention3d()])
def test_attention_starts_as_the_identity(module: nn.Module) -> None:
    x = torch.randn(SHAPE)
    assert torch.equal(module(x), x)


def test_dual_attention_sums_both() -> None:
    module = opened(DualAttention3d(16))
    x = torch.randn(SHAPE)
    both = module.get_submodule("position")(x) + module.get_submodule("channel")(x)
    assert torch.equal(module(x), both)

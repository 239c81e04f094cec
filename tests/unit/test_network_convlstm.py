from __future__ import annotations

import torch
from torch import Tensor, nn

from renalseg.networks import ConvLSTMUNet
from renalseg.networks.convlstm import ConvLSTM2d

PAPER = (224, 224, 16)  # x, y, z; the paper writes z first
# Table 1: x, y, z and channels of each level, at the paper's width.
LEVELS = (
    (224, 224, 16, 32),
    (112, 112, 8, 64),
    (56, 56, 8, 128),
    (28, 28, 8, 256),
    (14, 14, 8, 512),
)


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.shape[2:], tensor.shape[1])


@torch.no_grad()
def test_levels_are_those_of_the_table() -> None:
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(name: str, module: nn.Module) -> None:
        module.register_forward_hook(
            lambda _, inputs, output: shapes.update({name: shape_of(output)})
        )

    with torch.device("meta"):
        network = ConvLSTMUNet()
        for group in ("encoders", "pools", "ups", "merges"):
            for level, module in enumerate(getattr(network, group), start=1):
                watch(f"{group}{level}", module)
                if group == "ups":
                    watch(f"upsampling{level}", module[0])
        network(torch.empty(1, 1, *PAPER))
    for level, (x, y, z, channels) in enumerate(LEVELS, start=1):
        assert shapes[f"encoders{level}"] == (x, y, z, channels)
    for level in range(1, 5):
        *here, channels = LEVELS[level - 1]
        *below, channels_below = LEVELS[level]
        assert shapes[f"pools{level}"] == (*below, channels)
        assert shapes[f"upsampling{level}"] == (*here, channels_below)
        assert shapes[f"ups{level}"] == (*here, channels)
        assert shapes[f"merges{level}"] == (*here, channels)


# ConvLSTM2d


def lstm(in_channels: int = 3, hidden_channels: int = 4) -> ConvLSTM2d:
    torch.manual_seed(0)
    return ConvLSTM2d(in_channels, hidden_channels).eval()


@torch.no_grad()
def test_a_kernel_of_one_is_the_lstm_of_torch_in_each_pixel() -> None:
    ours, theirs = ConvLSTM2d(3, 4, kernel_size=1), nn.LSTM(3, 4, batch_first=True)
    order = [1, 0, 3, 2]  # torch: enter, forget, new, leave
    for name, conv in (("weight_ih_l0", ours.from_input), ("weight_hh_l0", ours.from_hidden)):
        gates = conv.weight.flatten(1).chunk(4)
        theirs.get_parameter(name).copy_(torch.cat([gates[i] for i in order]))
    assert ours.from_input.bias is not None
    gates = ours.from_input.bias.chunk(4)
    theirs.bias_ih_l0.copy_(torch.cat([gates[i] for i in order]))
    theirs.bias_hh_l0.zero_()
    x = torch.randn(2, 3, 5, 6, 7)
    pixels = x.permute(0, 2, 3, 4, 1).flatten(0, 2)  # (B * X * Y, Z, C)
    expected = theirs(pixels)[0].reshape(2, 5, 6, 7, 4).permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(ours(x), expected)


@torch.no_grad()
def test_a_slice_depends_on_those_before_it_alone() -> None:
    x = torch.randn(1, 3, 6, 6, 5)
    changed = x.clone()
    changed[..., 2] += 1
    difference = (lstm()(changed) - lstm()(x)).abs().amax(dim=(0, 1, 2, 3))
    assert (difference[:2] == 0).all()
    assert (difference[2:] > 0).all()


@torch.no_grad()
def test_the_state_before_the_first_slice_is_zero() -> None:
    module, x = lstm(), torch.randn(1, 3, 6, 6, 1)
    _, enter, leave, new = module.from_input(x).chunk(4, dim=1)
    expected = leave.sigmoid() * (enter.sigmoid() * new.tanh()).tanh()
    torch.testing.assert_close(module(x), expected)


def test_the_forget_gate_starts_open() -> None:
    bias = lstm(hidden_channels=4).from_input.bias
    assert bias is not None
    assert bias.tolist() == [1.0] * 4 + [0.0] * 12

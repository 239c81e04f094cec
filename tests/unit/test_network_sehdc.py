from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from renalseg.networks import SEHDCUNet
from renalseg.networks.padding import crop_as, pad_to_multiple

# One table for every shape test: options of the network, shape of the image, shape of the logits.
SHAPES = [
    ({"width": 4}, (1, 1, 16, 16, 8), (1, 1, 16, 16, 8)),
    ({"width": 4, "out_channels": 3}, (2, 1, 16, 16, 8), (2, 3, 16, 16, 8)),
    ({"width": 4, "in_channels": 2}, (1, 2, 24, 16, 8), (1, 1, 24, 16, 8)),
    ({"width": 4}, (1, 1, 17, 9, 5), (1, 1, 17, 9, 5)),  # padded inside
    ({"width": 6, "norm": "batch", "out_channels": 3}, (2, 1, 16, 8, 7), (2, 3, 16, 8, 7)),
]
PARAMETERS = [
    ({"width": 24, "out_channels": 1}, 7_180_791),
    ({"width": 24, "out_channels": 3}, 7_180_841),
    ({"width": 8, "out_channels": 1}, 798_335),
    ({"width": 8, "out_channels": 3}, 798_353),
]
# Table 1 of the paper, batch left out: part, then output in the coarse and in the fine network. For
# level 2 of the fine network the paper prints 24 channels, which its own concatenation contradicts.
TABLE_1 = [
    ("stem", (24, 160, 160, 80), (24, 144, 144, 48)),
    ("downs.0", (48, 80, 80, 80), (48, 72, 72, 48)),
    ("convs.0", (48, 80, 80, 80), (48, 72, 72, 48)),
    ("downs.1", (96, 40, 40, 40), (96, 36, 36, 24)),
    ("convs.1", (96, 40, 40, 40), (96, 36, 36, 24)),
    ("downs.2", (192, 20, 20, 20), (192, 18, 18, 12)),
    ("bottom.0", (192, 20, 20, 20), (192, 18, 18, 12)),  # SE-HDC
    ("bottom.1", (192, 20, 20, 20), (192, 18, 18, 12)),  # dual attention
    ("ups.2", (96, 40, 40, 40), (96, 36, 36, 24)),
    ("merges.2", (96, 40, 40, 40), (96, 36, 36, 24)),
    ("ups.1", (48, 80, 80, 80), (48, 72, 72, 48)),
    ("merges.1", (48, 80, 80, 80), (48, 72, 72, 48)),
    ("ups.0", (24, 160, 160, 80), (24, 144, 144, 48)),
    ("merges.0", (24, 160, 160, 80), (24, 144, 144, 48)),
    ("head", (1, 160, 160, 80), (1, 144, 144, 48)),
]
shapes = pytest.mark.parametrize(("options", "image", "logits"), SHAPES)


@shapes
def test_logits_have_the_size_of_the_image(
    options: dict[str, object], image: tuple[int, ...], logits: tuple[int, ...]
) -> None:
    network = SEHDCUNet(**options).eval()  # type: ignore[arg-type]
    with torch.inference_mode():
        out = network(torch.rand(image))
    assert isinstance(out, Tensor)
    assert out.shape == logits


@shapes
def test_gradients_reach_every_parameter(
    options: dict[str, object], image: tuple[int, ...], logits: tuple[int, ...]
) -> None:
    network = SEHDCUNet(**options).train()  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        # attention is closed at the start, and nothing flows back through 0; the few hidden units
        # that squeezing leaves may all be off by chance
        if name.endswith(("gamma", "fc.0.bias")):
            nn.init.ones_(parameter)
    network(torch.rand(image)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # a softmax does not see what its keys have in common
        assert parameter.grad.any() or name.endswith("key.bias"), name


@pytest.mark.parametrize(("options", "count"), PARAMETERS)
def test_number_of_parameters(options: dict[str, int], count: int) -> None:
    with torch.device("meta"):
        network = SEHDCUNet(**options)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("column", [1, 2], ids=["coarse", "fine"])
def test_levels_are_those_of_table_1(column: int) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def watch(name: str, part: nn.Module) -> None:
        part.register_forward_hook(lambda *call: seen.update({name: tuple(call[2].shape[1:])}))

    with torch.device("meta"):  # shapes without numbers
        network = SEHDCUNet(width=24)
        for name, *_ in TABLE_1:
            watch(name, network.get_submodule(name))
        network(torch.empty(2, *(1, *TABLE_1[-1][column][1:])))
    assert list(seen.items()) == [(row[0], row[column]) for row in TABLE_1]


def test_dilations_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = SEHDCUNet()
    block = network.get_submodule("bottom.0")
    convolutions = [m for m in block.modules() if isinstance(m, nn.Conv3d)]
    assert [c.dilation[0] for c in convolutions] == [1, 2, 5, 1, 2]


def test_an_image_is_padded_at_its_ends_and_cropped_back() -> None:
    x = torch.rand((1, 1, 5, 8, 3))
    padded = pad_to_multiple(x, [4, 4, 4])
    assert padded.shape == (1, 1, 8, 8, 4)
    assert torch.equal(crop_as(padded, x), x)


def test_padding_repeats_the_border() -> None:
    x = torch.rand((1, 2, 5, 8, 3))
    padded = pad_to_multiple(x, [4, 4, 4])
    assert torch.equal(padded[:, :, 5:, :, :3], x[:, :, 4:5].expand(-1, -1, 3, -1, -1))
    assert torch.equal(padded[:, :, :5, :, 3], x[..., 2])


def test_an_image_of_a_right_size_is_not_copied() -> None:
    x = torch.rand((1, 1, 8, 8, 4))
    assert pad_to_multiple(x, [8, 8, 4]) is x

from __future__ import annotations

import pytest
import torch
from torch import nn

from renalseg.networks import SEHDCUNet
from renalseg.networks.common import crop_as, pad_to_multiple

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


@pytest.mark.parametrize("convolved", [False, True])
@pytest.mark.parametrize("column", [1, 2], ids=["coarse", "fine"])
def test_levels_are_those_of_table_1(column: int, convolved: bool) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def watch(name: str, part: nn.Module) -> None:
        part.register_forward_hook(lambda *call: seen.update({name: tuple(call[2].shape[1:])}))

    with torch.device("meta"):  # shapes without numbers
        network = SEHDCUNet(width=24, convolved_attention=convolved)
        for name, *_ in TABLE_1:
            watch(name, network.get_submodule(name))
        network(torch.empty(2, *(1, *TABLE_1[-1][column][1:])))
    assert list(seen.items()) == [(row[0], row[column]) for row in TABLE_1]


def test_dual_attention_has_the_kernels_of_table_1() -> None:
    with torch.device("meta"):
        attention = SEHDCUNet(convolved_attention=True).get_submodule("bottom.1")
    kernels = [m.kernel_size for m in attention.modules() if isinstance(m, nn.Conv3d)]
    assert kernels.count((3, 3, 3)) == 4  # into and out of position and channel attention
    assert kernels.count((1, 1, 1)) == 3  # queries, keys and values


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

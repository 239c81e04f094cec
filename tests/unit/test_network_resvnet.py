from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from renalseg.networks import CascadeResVNet

# The second network of the cascade at the paper's width: part, channels, times the voxels are fewer
# along each axis. The first network has the same table at half the size.
LEVELS = [
    ("encoders.0", 16, 1),
    ("downs.0", 32, 2),
    ("encoders.1", 32, 2),
    ("downs.1", 64, 4),
    ("encoders.2", 64, 4),
    ("downs.2", 128, 8),
    ("encoders.3", 128, 8),
    ("downs.3", 256, 16),
    ("encoders.4", 256, 16),
    ("ups.3", 128, 8),
    ("decoders.3", 256, 8),
    ("ups.2", 64, 4),
    ("decoders.2", 128, 4),
    ("ups.1", 32, 2),
    ("decoders.1", 64, 2),
    ("ups.0", 16, 1),
    ("decoders.0", 32, 1),
    ("head", 1, 1),
]
INPUTS = [(160, 160, 128), (96, 96, 96)]  # of the two stages


def test_the_loss_of_the_second_network_also_trains_the_first() -> None:
    network = CascadeResVNet(width=2).train()
    network(torch.rand((1, 1, 64, 32, 32)))[1].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.first.parameters())


@pytest.mark.parametrize("size", INPUTS, ids=["whole_region", "tumor"])
def test_levels_are_those_of_the_paper(size: tuple[int, int, int]) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def watch(name: str, part: nn.Module) -> None:
        part.register_forward_hook(lambda *call: seen.update({name: tuple(call[2].shape[1:])}))

    with torch.device("meta"):  # shapes without numbers
        network = CascadeResVNet().eval()
        for half in ("first", "second"):
            for part, *_ in LEVELS:
                watch(f"{half}.{part}", network.get_submodule(f"{half}.{part}"))
        network(torch.empty(1, 1, *size))
    assert list(seen.items()) == [
        (f"{half}.{part}", (channels, *(n // (scale * fewer) for n in size)))
        for half, scale in (("first", 2), ("second", 1))
        for part, channels, fewer in LEVELS
    ]


@pytest.mark.parametrize(
    ("part", "convolutions", "dilation"),
    [
        ("encoders.0", 1, 1),
        ("encoders.1", 2, 1),
        ("encoders.2", 3, 1),
        ("encoders.3", 3, 2),
        ("encoders.4", 3, 4),
        ("decoders.3", 3, 1),
        ("decoders.2", 3, 1),
        ("decoders.1", 2, 1),
        ("decoders.0", 1, 1),
    ],
)
def test_convolutions_of_the_blocks(part: str, convolutions: int, dilation: int) -> None:
    with torch.device("meta"):
        block = CascadeResVNet().first.get_submodule(part)
    found = [m for m in block.modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (3, 3, 3)]
    assert [c.dilation for c in found] == [(dilation,) * 3] * convolutions


def test_blocks_add_their_input() -> None:
    block = CascadeResVNet(width=2).first.encoders[1]
    for name, parameter in block.named_parameters():
        if "conv.weight" in name:
            nn.init.zeros_(parameter)
    x = torch.rand((1, 4, 4, 4, 4))  # positive, so that PReLU leaves it as it is
    torch.testing.assert_close(block(x), x)


def test_the_second_network_sees_the_image_and_what_the_first_found() -> None:
    network = CascadeResVNet(width=2).eval()
    nn.init.zeros_(network.first.head.weight)
    nn.init.constant_(network.first.head.bias, 3.0)
    seen: list[Tensor] = []
    network.second.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    image = torch.rand((1, 1, 64, 32, 32))
    with torch.inference_mode():
        network(image)
    torch.testing.assert_close(seen[0][:, :1], image)
    torch.testing.assert_close(seen[0][:, 1:], torch.full_like(image, 3.0).sigmoid())

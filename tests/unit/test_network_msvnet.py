from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from renalseg.networks import MultiScaleVNet, ResUNet

# Part, then channels and size of its output; a window of the paper's 256 x 256 x 64.
RESUNET_LEVELS = [
    ("encoder.0", (16, 256, 256, 64)),
    ("downs.0", (32, 128, 128, 32)),
    ("encoder.1", (32, 128, 128, 32)),
    ("downs.1", (64, 64, 64, 16)),
    ("encoder.2", (64, 64, 64, 16)),
    ("downs.2", (128, 32, 32, 8)),
    ("encoder.3", (128, 32, 32, 8)),
    ("widen", (256, 32, 32, 8)),
    ("decoder.0", (256, 32, 32, 8)),
    ("ups.0", (128, 64, 64, 16)),
    ("decoder.1", (128, 64, 64, 16)),
    ("ups.1", (64, 128, 128, 32)),
    ("decoder.2", (64, 128, 128, 32)),
    ("ups.2", (32, 256, 256, 64)),
    ("decoder.3", (32, 256, 256, 64)),
    ("maps.3", (1, 256, 256, 64)),
    ("maps.0", (1, 32, 32, 8)),
    ("maps.1", (1, 64, 64, 16)),
    ("maps.2", (1, 128, 128, 32)),
]
# The same for a slice of the paper's 512 x 512.
VNET_LEVELS = [
    ("encoder.0", (16, 512, 512)),
    ("downs.0.branch", (16, 256, 256)),
    ("downs.0", (32, 256, 256)),
    ("encoder.1", (32, 256, 256)),
    ("downs.1.branch", (32, 128, 128)),
    ("downs.1", (64, 128, 128)),
    ("encoder.2", (64, 128, 128)),
    ("downs.2.branch", (64, 64, 64)),
    ("downs.2", (128, 64, 64)),
    ("encoder.3", (128, 64, 64)),
    ("downs.3.branch", (128, 32, 32)),
    ("downs.3", (256, 32, 32)),
    ("bottom", (256, 32, 32)),
    ("ups.3.gate", (128, 64, 64)),
    ("ups.3", (256, 64, 64)),
    ("ups.2.gate", (64, 128, 128)),
    ("ups.2", (128, 128, 128)),
    ("ups.1.gate", (32, 256, 256)),
    ("ups.1", (64, 256, 256)),
    ("ups.0.gate", (16, 512, 512)),
    ("ups.0", (32, 512, 512)),
    ("head", (1, 512, 512)),
]


@pytest.mark.parametrize(
    ("kind", "image", "levels"),
    [(ResUNet, (1, 256, 256, 64), RESUNET_LEVELS), (MultiScaleVNet, (5, 512, 512), VNET_LEVELS)],
)
def test_levels_are_those_of_the_paper(
    kind: type[nn.Module], image: tuple[int, ...], levels: list[tuple[str, tuple[int, ...]]]
) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def watch(name: str, part: nn.Module) -> None:
        part.register_forward_hook(lambda *call: seen.update({name: tuple(call[2].shape[1:])}))

    with torch.device("meta"):  # shapes without numbers
        network = kind(width=16)
        for name, _ in levels:
            watch(name, network.get_submodule(name))
        network.eval().training = True  # all outputs, but no batch statistics, which are slow here
        network(torch.empty(2, *image))
    assert list(seen.items()) == levels


def test_training_supervises_four_outputs_of_the_size_of_the_image() -> None:
    out = ResUNet(width=2).train()(torch.rand(2, 1, 17, 9, 11))
    assert [tuple(level.shape) for level in out] == [(2, 1, 17, 9, 11)] * 4


def test_the_first_output_of_training_is_that_of_evaluation() -> None:
    network = ResUNet(width=2, norm="instance")  # the same in both modes
    image = torch.rand(1, 1, 16, 16, 16)
    torch.testing.assert_close(network.train()(image)[0], network.eval()(image))


def dilations(part: nn.Module) -> list[int]:
    convolutions = [m for m in part.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    return [convolution.dilation[0] for convolution in convolutions]


def test_the_deep_stages_of_the_kidney_network_are_dilated() -> None:
    network = ResUNet(width=2)
    found = [dilations(stage) for stage in (*network.encoder, *network.decoder)]
    assert found == [[1], [1, 1], [1, 2, 4], [1, 2, 4], [1, 2, 4], [1] * 3, [1] * 3, [1] * 2]


def test_the_bottom_of_the_tumor_network_has_hybrid_dilations() -> None:
    assert dilations(MultiScaleVNet(width=2).bottom) == [2, 3, 5]


@torch.no_grad()
def test_every_level_sees_the_image_itself() -> None:
    network = MultiScaleVNet(width=2).eval()
    nn.init.zeros_(network.stem.get_submodule("conv").weight)  # shuts the way through the features
    seen: list[Tensor] = []
    for down in network.downs:
        down.register_forward_hook(lambda *call: seen.append(call[2]))
    for image in (torch.rand(1, 5, 32, 32), torch.rand(1, 5, 32, 32)):
        network(image)
    assert not any(torch.equal(a, b) for a, b in zip(seen[:4], seen[4:], strict=True))

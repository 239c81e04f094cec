from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from renalseg.networks import KidneyLocator, MRBUNet
from renalseg.networks.common import channels_last
from renalseg.networks.locator import OUTSIDE, longest_run
from renalseg.networks.mrb import MRB

# Parts of the MRB network and their channels and voxels for the paper's patch of 128 x 128 x 80.
LEVELS = [
    ("encoders.0", (32, 128, 128, 80)),
    ("encoders.1", (64, 64, 64, 40)),
    ("encoders.2", (128, 32, 32, 20)),
    ("encoders.3", (256, 16, 16, 10)),
    ("encoders.4", (512, 8, 8, 5)),
    ("skip_ups.3", (256, 16, 16, 10)),
    ("skip_ups.0", (32, 128, 128, 80)),
    ("ups.3", (256, 16, 16, 10)),
    ("ups.0", (32, 128, 128, 80)),
    ("decoders.3", (256, 16, 16, 10)),
    ("decoders.2", (128, 32, 32, 20)),
    ("decoders.1", (64, 64, 64, 40)),
    ("decoders.0", (32, 128, 128, 80)),
    ("head", (2, 128, 128, 80)),
]
# Parts of ResNet-34 (He et al. 2016, Table 1) and their output for an image of 224 x 224.
RESNET = [
    ("conv1", (64, 112, 112), 0),
    ("maxpool", (64, 56, 56), 0),
    ("layer1", (64, 56, 56), 3),
    ("layer2", (128, 28, 28), 4),
    ("layer3", (256, 14, 14), 6),
    ("layer4", (512, 7, 7), 3),
    ("avgpool", (512, 1, 1), 0),
]


def outputs_of(network: nn.Module, image: Tensor) -> dict[str, tuple[int, ...]]:
    """Shape of the output of each part, batch left out."""
    found: dict[str, tuple[int, ...]] = {}
    for name, part in network.named_modules():
        part.register_forward_hook(
            lambda _, __, output, name=name: found.update({name: tuple(output.shape[1:])})
        )
    network(image)
    return found


def test_levels_of_the_mrb_network() -> None:
    with torch.device("meta"):
        found = outputs_of(MRBUNet(), torch.empty(1, 1, 128, 128, 80))
    for name, shape in LEVELS:
        assert found[name] == shape, name


def test_mrb_sees_seven_voxels() -> None:
    block = MRB(1, 2, norm=("batch", {"affine": False})).eval()
    for parameter in block.parameters():
        nn.init.ones_(parameter)  # so that nothing is cut off at 0
    image = torch.ones(1, 1, 11, 11, 11, requires_grad=True)
    block(image)[0, :, 5, 5, 5].sum().backward()
    assert image.grad is not None
    seen = image.grad[0, 0].nonzero()
    assert seen.amin(dim=0).tolist() == [2, 2, 2]
    assert seen.amax(dim=0).tolist() == [8, 8, 8]


def test_mrb_reduces_the_features_of_all_three_scales() -> None:
    block = MRB(8, 8, norm="instance")
    assert block.reduce.conv.in_channels == 24
    assert block.reduce.conv.kernel_size == (1, 1, 1)
    assert isinstance(block.shortcut, nn.Identity)


def test_classifier_is_the_published_resnet_34() -> None:
    with torch.device("meta"):
        classifier = KidneyLocator().classifier
        found = outputs_of(classifier, torch.empty(2, 1, 224, 224))
    for name, shape, blocks in RESNET:
        assert found[name] == shape, name
        assert blocks in (0, len(getattr(classifier, name)) if blocks else 0)
    # 21,797,672 for 3 channels in and 1000 classes out
    count = sum(parameter.numel() for parameter in classifier.parameters())
    assert count == 21_797_672 - 2 * 64 * 7 * 7 - 999 * 513


def test_locator_gives_mask_and_slice_logits_in_training() -> None:
    with torch.device("meta"):
        logits = KidneyLocator(width=4).train()(torch.empty(2, 1, 40, 33, 3))
    assert logits.shape == (2, 2, 40, 33, 3)


@pytest.fixture
def locator() -> KidneyLocator:
    """With a classifier that finds kidney where a slice is bright."""
    network = KidneyLocator(width=4, margin=1, chunk=3).eval()
    network.classifier = nn.Sequential(  # type: ignore[assignment]
        nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return network


@torch.inference_mode()
def test_locator_finds_nothing_beyond_the_range(locator: KidneyLocator) -> None:
    image = torch.full((1, 1, 32, 32, 10), -1.0)
    image[..., 5:7] = 1.0
    outside = (locator(image) == OUTSIDE).flatten(0, 3).all(dim=0)
    assert outside.tolist() == [True] * 4 + [False] * 4 + [True] * 2


@torch.inference_mode()
def test_locator_finds_nothing_where_no_slice_holds_kidney(locator: KidneyLocator) -> None:
    assert (locator(torch.full((1, 1, 32, 32, 4), -1.0)) == OUTSIDE).all()


@torch.inference_mode()
def test_chunks_do_not_change_the_logits(locator: KidneyLocator) -> None:
    image = torch.rand(2, 1, 32, 32, 7)
    in_chunks = locator(image)
    locator.chunk = 100
    torch.testing.assert_close(locator(image), in_chunks)


@pytest.mark.parametrize(
    ("positive", "margin", "expected"),
    [
        ("0110011100", 0, "0000011100"),
        ("0110011100", 1, "1111111110"),  # two margins close the gap
        ("0100000111", 1, "0000001111"),
        ("1100000011", 0, "1100000000"),  # of two alike the first
        ("0000000000", 2, "0000000000"),
        ("1111111111", 3, "1111111111"),
        ("0000100000", 2, "0011111000"),
    ],
)
def test_longest_run(positive: str, margin: int, expected: str) -> None:
    batch = torch.tensor([[c == "1" for c in positive], [c == "1" for c in positive[::-1]]])
    found = longest_run(batch, margin)
    assert "".join(str(int(v)) for v in found[0]) == expected
    assert found[1].sum() == found[0].sum()  # each case of a batch by itself


def test_channels_last_takes_networks_of_both_dimensions() -> None:
    network = channels_last(nn.Sequential(nn.Conv3d(2, 4, 3), nn.Conv2d(2, 4, 3), nn.Linear(2, 3)))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert network[1].weight.is_contiguous()

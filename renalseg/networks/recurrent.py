"""Recurrence from slice to slice."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvLSTM2d(nn.Module):
    """Convolutional LSTM along the slice axis (Shi et al. 2015, eq. 3, without peepholes).

    Both convolutions lie in the slice. The state before the first slice is zero, and the forget
    gate starts open (bias 1), so that slices far away still count at the start of training.

    Args:
        in_channels: Channels of the input sequence.
        hidden_channels: Channels of the hidden state, also of the output.
        kernel_size: Odd in-plane kernel of both convolutions, in pixels.

    Shape:
        input (B, in_channels, X, Y, Z), read slice by slice along Z; output
        (B, hidden_channels, X, Y, Z), the hidden state after each slice.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        kernel, padding = (kernel_size, kernel_size, 1), (kernel_size // 2, kernel_size // 2, 0)
        gates = 4 * hidden_channels
        self.from_input = nn.Conv3d(in_channels, gates, kernel, padding=padding)
        self.from_hidden = nn.Conv3d(hidden_channels, gates, kernel, padding=padding, bias=False)
        bias = torch.zeros(gates)
        bias[:hidden_channels] = 1.0  # of the forget gate
        self.from_input.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """The hidden states of all slices."""
        states: list[Tensor] = []
        cell: Tensor | None = None
        for gates in self.from_input(x).split(1, dim=-1):  # Z times (B, 4 * hidden, X, Y, 1)
            if states:  # the state before the first slice is zero, and so is what it adds
                gates = gates + self.from_hidden(states[-1])
            forget, enter, leave, new = gates.chunk(4, dim=1)
            entering = enter.sigmoid() * new.tanh()
            cell = entering if cell is None else forget.sigmoid() * cell + entering
            states.append(leave.sigmoid() * cell.tanh())
        return torch.cat(states, dim=-1)

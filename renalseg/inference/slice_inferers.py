"""Inferers that run along the slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from monai.inferers import Inferer
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

Network = Callable[..., Tensor]


class CentralSlicesInferer(Inferer):
    """Runs a 3D network over windows of slices and keeps the central slices of each.

    The end slices are repeated beyond the ends of the volume, and the last window ends with it, so
    every slice comes from the center of exactly one window.

    Args:
        window: Number of slices that the network sees.
        keep: Number of central slices that are kept.
        progress: Show a bar over the windows.

    Raises:
        ValueError: The other slices cannot be divided evenly between both sides.
    """

    def __init__(self, window: int = 64, keep: int = 32, progress: bool = False) -> None:
        super().__init__()
        if not 0 < keep <= window or (window - keep) % 2:
            raise ValueError(
                f"Expected 0 < keep <= window, an even number apart, got {keep} and {window}"
            )
        self.window = window
        self.keep = keep
        self.progress = progress

    def __call__(self, inputs: Tensor, network: Network, *args: object, **kwargs: object) -> Tensor:
        """Logits (B, C', X, Y, Z) of `inputs` (B, C, X, Y, Z)."""
        margin = (self.window - self.keep) // 2
        slices = inputs.shape[-1]
        padded = _continue(inputs, margin, margin + max(0, self.keep - slices))
        logits: Tensor | None = None
        for start, first in tqdm(list(self.windows(slices)), disable=not self.progress):
            part = network(padded[..., start : start + self.window], *args, **kwargs)
            if logits is None:
                logits = part.new_empty((*part.shape[:-1], slices))
            stop = min(start + self.keep, slices)
            logits[..., first:stop] = part[..., margin + first - start : margin + stop - start]
        assert logits is not None
        return logits

    def windows(self, slices: int) -> Iterator[tuple[int, int]]:
        """Returns for each window where its central part begins, and the first slice kept."""
        last = max(0, slices - self.keep)
        for first in range(0, slices, self.keep):
            yield min(first, last), first


class SliceStackInferer(Inferer):
    """Runs a 2.5D network on the stack of slices around each slice.

    Every call passes a full batch of slices padded to a multiple of some pixels, so that an engine
    that converts the network per shape meets few shapes.

    Args:
        slices: Odd number of slices in a stack; the end slices of the volume are repeated.
        batch_size: Stacks per call of the network.
        multiple: Slices are padded to a multiple of this many pixels by repeating their border.
        least: Pixels (X, Y) to which smaller slices are padded, multiples of `multiple`.
        beside: Number of further channels, such as a mask; the network gets only the center slice
            of these, after the stack.
        blank_logit: Logit of a slice with a single value, for which the network is not run; None
            runs it on every slice.
        background: Channel that such a slice belongs to, with the logit 0, for networks that have
            one; with the same logit in all channels, rounding would choose the class.
        mirror: The logits are the mean of those of a slice and of its mirror image along X, for
            networks that were trained on both.
        progress: Show a bar over the batches.

    Raises:
        ValueError: The number of slices is even, so that a stack has no center.
    """

    def __init__(
        self,
        slices: int = 5,
        batch_size: int = 8,
        multiple: int = 1,
        blank_logit: float | None = -20.0,
        progress: bool = False,
        least: Sequence[int] = (1, 1),
        beside: int = 0,
        background: int | None = None,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        if slices < 1 or slices % 2 == 0:
            raise ValueError(f"Expected an odd number of slices, got {slices}")
        self.slices = slices
        self.batch_size = batch_size
        self.multiple = multiple
        self.least = tuple(least)
        self.beside = beside
        self.blank_logit = blank_logit
        self.background = background
        self.mirror = mirror
        self.progress = progress

    def __call__(self, inputs: Tensor, network: Network, *args: object, **kwargs: object) -> Tensor:
        """Logits (1, C', X, Y, Z) of `inputs` (1, 1 + `beside`, X, Y, Z)."""
        volume = inputs[0, 0]
        half = self.slices // 2
        sizes = zip(volume.shape[:2], self.least, strict=True)
        x, y = (max(-size % self.multiple, least - size) for size, least in sizes)
        padded = _continue(inputs, half, half, x, y)[0]
        stacks = padded[0].unfold(-1, self.slices, 1).permute(2, 3, 0, 1)  # (Z, slices, X, Y)
        others = padded[1:, ..., half : half + volume.shape[-1]].permute(3, 0, 1, 2)
        wanted = torch.arange(len(stacks), device=volume.device)
        if self.blank_logit is not None:
            shown = volume.amin(dim=(0, 1)) < volume.amax(dim=(0, 1))
            wanted = wanted[shown] if shown.any() else wanted[:1]  # one slice tells the channels
        logits: Tensor | None = None
        for batch in tqdm(wanted.split(self.batch_size), disable=not self.progress):
            full = batch[torch.arange(self.batch_size).clamp(max=len(batch) - 1)]
            seen = torch.cat([stacks[full], others[full]], dim=1)
            part = network(seen, *args, **kwargs)
            if self.mirror:
                part = (part + network(seen.flip(2), *args, **kwargs).flip(2)) / 2
            part = part.movedim(0, -1)  # (C', X, Y, batch)
            if logits is None:
                size = (len(part), *volume.shape)
                logits = part.new_full(size, self.blank_logit or 0.0)
                if self.background is not None:
                    logits[self.background] = 0.0
            logits[..., batch] = part[:, : volume.shape[0], : volume.shape[1], : len(batch)]
        assert logits is not None
        return logits[None]


def _continue(
    volume: Tensor, before: int, after: int, beside_x: int = 0, beside_y: int = 0
) -> Tensor:
    """Repeats the ends of a volume (B, C, X, Y, Z): slices on both, rows and columns on one."""
    return functional.pad(volume, (before, after, 0, beside_y, 0, beside_x), mode="replicate")

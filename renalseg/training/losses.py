"""Losses that MONAI lacks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses import DiceCELoss
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional


class LocatorLoss(nn.Module):
    """Trains both networks of a `renalseg.networks.KidneyLocator`.

    Soft Dice and binary cross-entropy of the mask, and binary cross-entropy of whether a slice
    holds kidney. The networks share no layer, so neither term acts on the other's network.

    Shape:
        pred (B, 2, X, Y, Z): logits of the mask, and of the slice, repeated in each of its voxels;
        label (B, 1, X, Y, Z): 1 = kidney with its tumors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mask_loss = DiceCELoss(sigmoid=True, batch=True)

    def forward(self, pred: Tensor, label: Tensor) -> Tensor:
        """The sum of the three terms."""
        label = label.to(pred.dtype)
        present = label.amax(dim=(1, 2, 3))  # (B, Z)
        slice_loss = functional.binary_cross_entropy_with_logits(pred[:, 1, 0, 0], present)
        loss: Tensor = self.mask_loss(pred[:, :1], label) + slice_loss
        return loss


class LesionLoss(nn.Module):
    """Cross-entropy and Dice that weigh small lesions nearly as much as large ones.

    The fewer pixels a lesion has, the more each one weighs, as in the blob loss (Kofler et al.
    2023), at a lower cost. Dice is computed per slice: pooled over a batch, as is common, one large
    tumor outweighs all small ones, and false positives in a healthy kidney cost almost nothing.

    Args:
        class_weights: Of the classes in the cross-entropy, background first.
        lesions: The classes that are lesions.
        full_pixels: A lesion of this many pixels has weight 1; smaller ones have up to `most`.
        most: The largest weight.
        dice: Weight of each Dice term relative to the cross-entropy.
        smooth: Pixels added to both sides of Dice, so that a few false pixels cost little.

    Shape:
        pred (B, C, X, Y): logits; label (B, 1, X, Y): classes.
    """

    def __init__(
        self,
        class_weights: Sequence[float] = (0.15, 1.0, 1.3, 1.0),
        lesions: Sequence[int] = (2, 3),
        full_pixels: float = 500.0,
        most: float = 6.0,
        dice: float = 0.6,
        smooth: float = 25.0,
    ) -> None:
        super().__init__()
        self.class_weights = tuple(class_weights)
        self.lesions = tuple(lesions)
        self.full_pixels = full_pixels
        self.most = most
        self.dice = dice
        self.smooth = smooth

    def forward(self, pred: Tensor, label: Tensor) -> Tensor:
        """The sum of the terms."""
        target = label[:, 0].long()
        weight = self.lesion_weights(target)
        classes = torch.tensor(self.class_weights, dtype=torch.float32, device=pred.device)
        entropy = functional.cross_entropy(pred.float(), target, weight=classes, reduction="none")
        loss: Tensor = 3 * (entropy * weight).mean()
        probs = pred.softmax(dim=1)
        for lesion in self.lesions:
            truth, found = target.eq(lesion), probs[:, lesion]
            both = (weight * found * truth).sum((1, 2))
            either = (weight * (found + truth)).sum((1, 2))
            missed = 1 - (2 * both + self.smooth) / (either + self.smooth)
            loss = loss + self.dice * missed.mean()
        return loss

    def lesion_weights(self, target: Tensor) -> Tensor:
        """Weights (B, X, Y) float32 of the pixels of a target (B, X, Y)."""
        weight = torch.ones(target.shape)
        for one, classes in zip(weight, target.cpu(), strict=True):
            for lesion in self.lesions:
                numbered, count = ndimage.label((classes == lesion).numpy())
                numbers = torch.from_numpy(numbered)
                for number in range(1, count + 1):
                    mask = numbers == number
                    share = self.full_pixels / float(mask.sum())
                    one[mask] = min(self.most, max(1.0, share))
        return weight.to(target.device)

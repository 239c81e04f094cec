"""Losses that MONAI lacks."""

from __future__ import annotations

from monai.losses import DiceCELoss
from torch import Tensor, nn
from torch.nn import functional


class LocatorLoss(nn.Module):
    """Trains both networks of a `renalseg.networks.KidneyLocator`.

    Soft Dice and binary cross-entropy of the mask, and binary cross-entropy of whether a slice
    holds kidney. The networks share no layer, so neither term acts on the other's network.

    Shape:
        pred (B, 2, X, Y, Z): logits of the mask, and of the slice in each of its voxels;
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

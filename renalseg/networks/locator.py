"""The two auxiliary networks of the method ``mrb``, which locate the kidneys slice by slice.

Source: Qiao, Zhao and Liu, "Automatic segmentation of kidney and kidney tumor based on 3D
convolutional neural networks", KiTS19, Fig. 1; He et al. 2016 (ResNet-34); Ronneberger et al. 2015
(U-Net).
"""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet, resnet34
from torch import Tensor, nn
from torch.nn import functional

from renalseg.networks.common import Norm, crop_as, pad_to_multiple

OUTSIDE = -30.0  # logit of a voxel beyond the kidneys' range along Z

_WIDTH = 64  # channels of the first level in ResNet-34 as in the U-Net


class KidneyLocator(nn.Module):
    """ResNet-34 finds the slices that hold kidney, a 2D U-Net finds it within the slices.

    The paper trains two networks; here they are one module without shared layers, so that one
    training and one file of weights serve both. The range is the longest run of slices that
    ResNet-34 takes for kidney, see `longest_run`; it is meant for whole volumes.

    Args:
        in_channels: Channels of the image.
        width: Channels of the first level of both networks (paper: 64, that of ResNet-34; the
            deeper levels scale with it).
        margin: Slices by which the range grows on both sides.
        norm: MONAI norm layer of the U-Net; ResNet-34 has batch norm.
        chunk: Slices that are worked on at a time in eval mode.

    Shape:
        input (B, in_channels, X, Y, Z) of any size, slices along Z, padded inside to a multiple of
        (16, 16, 1); output in eval mode the logits (B, 1, X, Y, Z) of the kidney, `OUTSIDE` beyond
        the range; in training mode (B, 2, X, Y, Z): the logits of the U-Net and those of ResNet-34,
        the latter the same for all voxels of a slice.
    """

    def __init__(
        self,
        in_channels: int = 1,
        width: int = _WIDTH,
        margin: int = 0,
        norm: Norm = "batch",
        chunk: int = 16,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.chunk = chunk
        self.outside = OUTSIDE
        self.classifier = resnet34(
            spatial_dims=2,
            n_input_channels=in_channels,
            num_classes=1,
            widen_factor=width / _WIDTH,
            conv1_t_stride=2,  # this and the bias as in the published network
            bias_downsample=False,
        )
        self.segmenter = BasicUNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=1,
            features=(width, 2 * width, 4 * width, 8 * width, 16 * width, width),
            act=("relu", {"inplace": True}),
            norm=norm,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of an image."""
        padded = pad_to_multiple(x, [16, 16, 1])
        if self.training:
            mask, present = self._locate(padded)
            return crop_as(torch.cat([mask, present.expand_as(mask)], dim=1), x)
        masks: list[Tensor] = []
        presents: list[Tensor] = []
        for part in padded.split(self.chunk, dim=-1):
            mask, present = self._locate(part)
            masks.append(mask)
            presents.append(present)
        within = longest_run(torch.cat(presents, dim=-1).flatten(1) > 0, self.margin)  # (B, Z)
        mask = torch.cat(masks, dim=-1).masked_fill(~within[:, None, None, None], self.outside)
        return crop_as(mask, x)

    def _locate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the voxels (B, 1, X, Y, Z) and of the slices (B, 1, 1, 1, Z)."""
        slices = x.movedim(-1, 1).flatten(0, 1)  # (B * Z, C, X, Y)
        batch = (len(x), x.shape[-1])
        mask = self.segmenter(slices).unflatten(0, batch).movedim(1, -1)
        present = self.classifier(slices)[..., None, None].unflatten(0, batch).movedim(1, -1)
        return mask, present


def longest_run(positive: Tensor, margin: int = 0) -> Tensor:
    """The longest run of positive slices, with a margin.

    The margin is added to every run before the longest is chosen: runs that are no farther apart
    than two margins are one, so that a single misjudged slice does not cut a kidney off.

    Args:
        positive: (B, Z) bool.
        margin: Slices.

    Returns:
        (B, Z) bool, nowhere true where `positive` is nowhere true; the first of runs of one length.
    """
    size = 2 * margin + 1
    grown = functional.max_pool1d(positive.float()[:, None], size, stride=1, padding=margin)[:, 0]
    starts = functional.pad(grown, (1, 0)).diff(dim=-1) > 0
    runs = torch.where(grown > 0, starts.cumsum(dim=-1), 0)  # (B, Z) number of the run, 0 between
    same = (runs[:, :, None] == runs[:, None, :]) & (runs[:, :, None] > 0)
    lengths = same.sum(dim=-1)
    longest = runs.gather(1, lengths.argmax(dim=-1, keepdim=True))
    return (runs == longest) & (runs > 0)

"""MONAI bundles that are not of RenalSeg, as those of MONAI's model zoo.

Of their config run ``preprocessing``, ``inferer``, ``postprocessing`` and ``network_def`` with
models/model.pt, or models/model.ts; what they load from files and save to files stays in memory.
Their metadata name what they find.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, NibabelReader
from monai.transforms import LoadImage, LoadImaged
from torch import Tensor, nn

from renalseg.errors import EXIT_RETRYABLE, ConfigError, causes, exit_code_for
from renalseg.grids import Grid, resample
from renalseg.inference.foreign.structures import find_structures
from renalseg.inference.foreign.zoo_folder import KNOBS, config_file, data_format, files
from renalseg.inference.metadata import METADATA_FILE, read_metadata
from renalseg.labels import CYST, KIDNEY, TUMOR
from renalseg.runtime.checksums import check_manifest
from renalseg.volumes.turn import AXIAL, Turn, check_axes

_PARTS = ("preprocessing", "inferer", "postprocessing")
_SAVERS = ("SaveImage", "SaveImaged", "SaveImageD", "SaveImageDict")
_NAME = "case.nii.gz"  # what the image is called; there is no such file
_BACKGROUND = "background"


class ZooBundle:
    """A MONAI bundle that is not of RenalSeg.

    Args:
        folder: Its root.
        device: Where its network runs.
        progress: Does nothing: its config says whether there is a bar.
        values: Values of `KNOBS`, and those that replace others in its config.

    Raises:
        ConfigError: The folder is no bundle, or a broken one, or it takes other images than CT
            alone, or finds other structures.
    """

    def __init__(
        self, folder: Path, device: torch.device, progress: bool, values: Mapping[str, Any]
    ) -> None:
        files(folder)
        check_manifest(folder)
        metadata = read_metadata(folder)
        self.name = str(folder)
        self._image, self._pred, channels = data_format(metadata, folder)
        # where the first channel is no background, channels are masks, counted from 1
        first = next((name for name, number in channels.items() if number == 0), _BACKGROUND)
        self._first = 0 if first.lower() == _BACKGROUND else 1
        names = {name: number + self._first for name, number in channels.items()}
        self.structures = find_structures(names, values["labels"], str(folder))
        self.axes = AXIAL if values["axes"] is None else check_axes(values["axes"])
        self.device = device
        given = {name: value for name, value in values.items() if name not in KNOBS}
        try:
            parser = _parser(folder, device, given)
            parts = [parser.get_parsed_content(part, instantiate=True) for part in _PARTS]
            self._preprocessing, self._inferer, self._postprocessing = parts
            self._network = _network(parser, folder, device)
            amp = "evaluator::amp"
            self._amp = device.type == "cuda" and amp in parser and parser.get_parsed_content(amp)
        except Exception as error:
            if exit_code_for(error) == EXIT_RETRYABLE:
                raise
            own = (cause for cause in causes(error) if isinstance(cause, ConfigError))
            raise next(own, None) or ConfigError(
                f"The bundle {folder} cannot run here: {_first_line(error)}"
            ) from error
        self._reader = _GivenReader()
        self._register()

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Segments a volume (1, X, Y, Z) in HU: labels of `renalseg.labels`, uint8 on its grid."""
        grid = Grid.of(image)
        turn = Turn(grid.affine, grid.shape, self.axes)
        values = turn.forth(image[0].cpu().numpy())
        self._reader.image = nib.Nifti1Image(values, turn.turned_affine)
        found = self._run()
        labels = self._labels(found.as_tensor().cpu())
        own, target = Grid.of(found), Grid(turn.turned_shape, turn.turned_affine)
        if own.shape != target.shape or not np.allclose(own.affine, target.affine):
            # as MONAI's SaveImage would bring it there
            labels = resample(labels, own, target, mode="nearest")
        back = turn.back(np.asarray(labels[0]))
        return MetaTensor(torch.from_numpy(back.copy())[None], affine=image.affine)

    @torch.no_grad()
    def _run(self) -> MetaTensor:
        """What the bundle makes of the reader's image, as MONAI's evaluator runs it."""
        item = self._preprocessing({self._image: _NAME})
        image = item[self._image]
        inputs = image.as_tensor()[None].to(self.device)
        with torch.autocast("cuda") if self._amp else nullcontext():
            logits = self._inferer(inputs, self._network)
        if not isinstance(logits, Tensor):
            raise ConfigError(
                f"Expected one tensor of the network in {self.name}, got {type(logits).__name__}"
            )
        pred = MetaTensor(logits[0], meta=image.meta, applied_operations=image.applied_operations)
        found: MetaTensor = self._postprocessing({**item, self._pred: pred})[self._pred]
        return found

    def _labels(self, found: Tensor) -> Tensor:
        """Our labels (1, X, Y, Z) uint8 of a label map, or of a mask for each channel."""
        if len(found) == 1:
            values = found.round().long().clamp(min=0).numpy()
            return torch.from_numpy(self.structures.of_values(values))
        labels = torch.zeros((1, *found.shape[1:]), dtype=torch.uint8)
        for kind in (KIDNEY, CYST, TUMOR):  # where masks overlap, the later one wins
            for value, own in self.structures.kinds.items():
                if own == kind:
                    labels[0][found[value - self._first] > 0.5] = kind
        return labels

    def _register(self) -> None:
        """Has the transforms that load files take the image in memory."""
        loaders = [
            transform
            for transform in getattr(self._preprocessing, "transforms", ())
            if isinstance(transform, (LoadImage, LoadImaged))
        ]
        if not loaders:
            raise ConfigError(
                f"Expected LoadImaged in the preprocessing of {self.name}, found none"
            )
        for loader in loaders:
            loader.register(self._reader)


class _GivenReader(NibabelReader):
    """Gives an image in memory in place of a file's, with the metadata that a file would have."""

    def __init__(self) -> None:
        super().__init__()
        self.image: Any = None

    def verify_suffix(self, filename: Any) -> bool:
        """Takes any name."""
        return True

    def read(self, data: Any, **kwargs: Any) -> Any:
        """Returns the image."""
        self.filenames = [data] if isinstance(data, str) else list(data)
        return self.image


def _parser(folder: Path, device: torch.device, values: Mapping[str, Any]) -> ConfigParser:
    """The bundle's config, without what saves files."""
    if (folder / "scripts").is_dir() and str(folder) not in sys.path:
        sys.path.append(str(folder))  # where its config finds its own code
    parser = ConfigParser()
    parser.read_config(str(config_file(folder)))
    parser.read_meta(str(folder / METADATA_FILE))
    parser["bundle_root"] = str(folder)
    parser["device"] = device
    for name, value in values.items():
        parser[name] = value
    after = "postprocessing::transforms"
    parser[after] = [
        transform
        for transform in parser[after]
        if str(transform.get("_target_", "")).rpartition(".")[2] not in _SAVERS
    ]
    return parser


def _network(parser: ConfigParser, folder: Path, device: torch.device) -> nn.Module:
    """The network with its weights; models/model.ts needs no definition."""
    path = folder / "models" / "model.pt"
    if not path.is_file():
        scripted: nn.Module = torch.jit.load(str(path.with_suffix(".ts")), map_location=device)
        return scripted.eval()
    network: nn.Module = parser.get_parsed_content("network_def", instantiate=True)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(state.get("model"), dict):  # as MONAI's CheckpointSaver writes it
        state = state["model"]
    network.load_state_dict(state)
    return network.to(device).eval()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)

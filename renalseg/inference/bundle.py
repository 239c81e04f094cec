"""Functions that bundle configs name with ``_target_``, and the bundle as a Python object."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import nn

from renalseg.errors import EXIT_RETRYABLE, ConfigError, causes, exit_code_for, some_of
from renalseg.evidence import EVIDENCE, with_evidence
from renalseg.grids import Grid
from renalseg.inference.engine import OpenVINOEngine, make_engine
from renalseg.inference.inferers import AutocastInferer, autocast
from renalseg.inference.metadata import METADATA_FILE
from renalseg.networks.common import channels_last
from renalseg.runtime.checksums import check_manifest

Case = dict[str, Any]


def start_network(
    network: nn.Module, device: torch.device, weights: str | Path | None = None
) -> nn.Module:
    """Moves a network to its device, ready to train.

    Args:
        network: As `network_def` builds it.
        device: Where the network goes.
        weights: A state dict to start from, such as a bundle's models/model.pt.

    Raises:
        ConfigError: The weights are missing, not a state dict, or those of another network.
    """
    if weights is not None:
        return load_network(network, weights, device, engine="torch").train()
    return channels_last(network.to(device))


def load_network(
    network: nn.Module,
    weights: str | Path,
    device: torch.device,
    engine: str = "auto",
    input_shape: Sequence[int] | None = None,
) -> nn.Module:
    """Loads a bundle's weights into its network, ready for inference.

    Args:
        network: As `network_def` builds it.
        weights: A state dict of any floating-point type, loaded without executing code.
        device: Where the network goes.
        engine: The engine that runs it, see `renalseg.inference.engine.make_engine`.
        input_shape: The (C, X, Y, Z) of every input, if it is constant, so that the network can be
            compiled before the first image.

    Raises:
        ConfigError: The file is missing, not a state dict, or that of another network; or there is
            no such engine.
    """
    path = Path(weights)
    if not path.is_file():
        raise ConfigError(f"Expected weights at {path}, found no file")
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        if exit_code_for(error) == EXIT_RETRYABLE:
            raise
        # torch names every weight; the first ones tell as much
        lines = [" ".join(line.split()) for line in str(error).splitlines()]
        raise ConfigError(
            f"The weights {path} do not fit their network: {some_of(lines, most=3)}"
        ) from error
    channels_last(network.to(device))
    return make_engine(network.eval(), device, engine, input_shape)


def make_case(image: MetaTensor, kidney: MetaTensor | None = None) -> Case:
    """Makes the item that a bundle's preprocessing expects.

    Args:
        image: HU (1, X, Y, Z) with an affine in RAS mm.
        kidney: A localizer's mask on the same grid, for a tumor bundle.

    Raises:
        ValueError: The grids differ.
    """
    case: Case = {"image": image, "source": Grid.of(image)}
    if kidney is not None:
        if kidney.shape != image.shape or not torch.allclose(
            kidney.affine, image.affine, atol=1e-3
        ):
            raise ValueError(
                f"Expected a kidney mask on the grid of the image {tuple(image.shape)}, "
                f"got {tuple(kidney.shape)} with the affine {kidney.affine.tolist()}"
            )
        # a file rounds a mask's affine, and the crop must not depend on that
        case["kidney"] = MetaTensor(kidney.as_tensor(), affine=image.affine)
    return case


@torch.inference_mode()
def segment_case(
    items: Case | Sequence[Case],
    *,
    network: nn.Module,
    inferer: Inferer,
    postprocessing: Callable[[Any], Case],
    device: torch.device,
) -> MetaTensor | None:
    """Runs a method on a preprocessed case.

    Args:
        items: The case, or one item per kidney.
        network: Computes the logits.
        inferer: Runs the network over an image (1, C, X, Y, Z).
        postprocessing: Turns items with logits in `pred` into one with labels on the source grid.
        device: The network's device.

    Returns:
        Labels (1, X, Y, Z) uint8 on the source grid, with their `renalseg.evidence`; None if there
        was no item.
    """
    done: list[Case] = []
    for item in [items] if isinstance(items, dict) else items:
        image = item["image"]
        logits = inferer(image.as_tensor()[None].to(device), network)[0]
        rest = {key: value for key, value in item.items() if key != "image"}
        done.append(rest | {"pred": MetaTensor(logits, affine=image.affine)})
    if not done:
        return None
    case = postprocessing(done[0] if isinstance(items, dict) else done)
    return with_evidence(case["pred"], case.get(EVIDENCE))


class Bundle:
    """A bundle in memory, run by the same config as ``python -m monai.bundle run``.

    Args:
        root: The bundle's folder.
        device: Where its network runs.
        progress: Whether the sliding window shows a progress bar.
        overrides: Values that replace those of the same names in the config, where it has them;
            "network_def::width" is the name of a nested one.

    Raises:
        ConfigError: The folder holds no bundle or a broken one, or its files differ from its
            manifest.
    """

    def __init__(
        self,
        root: str | Path,
        device: torch.device,
        progress: bool = False,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = Path(root)
        self.device = device
        config = self.root / "configs" / "inference.yaml"
        metadata = self.root / METADATA_FILE
        if not config.is_file() or not metadata.is_file():
            raise ConfigError(f"Expected a bundle with {config} and {metadata}, found none")
        check_manifest(self.root)
        parser = ConfigParser()
        with warnings.catch_warnings():
            # the documentation says that configs execute code; no warning at each start
            warnings.filterwarnings("ignore", message=".*[Cc]onfig.*", category=UserWarning)
            parts = ("preprocessing", "inferer", "postprocessing", "network")
            try:
                parser.read_config(str(config))
                parser.read_meta(str(metadata))
                parser["bundle_root"] = str(self.root)
                parser["device"] = device
                parser["progress"] = progress
                for name, value in (overrides or {}).items():
                    if name.split("::")[0] in parser.get():
                        parser[name] = value
                values = [parser.get_parsed_content(part, instantiate=True) for part in parts]
            except Exception as error:
                if exit_code_for(error) == EXIT_RETRYABLE:
                    raise
                own = (cause for cause in causes(error) if isinstance(cause, ConfigError))
                given = f", or cannot take {dict(overrides)}" if overrides else ""
                raise next(own, None) or ConfigError(
                    f"The bundle {self.root} is broken{given}: {error}"
                ) from error
        self.preprocessing, self.inferer, self.postprocessing, self.network = values
        self.version = str(parser.get("_meta_", {}).get("version", "unknown"))

    def prepare(self) -> None:
        """Compiles the network eagerly, instead of at the first image."""
        if isinstance(self.network, OpenVINOEngine):
            enabled = isinstance(self.inferer, AutocastInferer) and self.inferer.enabled
            with autocast(self.device, enabled):
                self.network.prepare()

    def __call__(self, image: MetaTensor, kidney: MetaTensor | None = None) -> MetaTensor:
        """Segments a volume.

        Args:
            image: HU (1, X, Y, Z) float32 on any grid, affine in RAS mm.
            kidney: The localizer's `pred` on the same grid, if this is a tumor bundle.

        Returns:
            Labels (1, X, Y, Z) uint8 on the grid of the image.
        """
        pred = segment_case(
            self.preprocessing(make_case(image, kidney)),
            network=self.network,
            inferer=self.inferer,
            postprocessing=self.postprocessing,
            device=self.device,
        )
        return empty_prediction(image) if pred is None else pred


def empty_prediction(image: MetaTensor) -> MetaTensor:
    """Returns the labels of a volume in which nothing was found."""
    return MetaTensor(torch.zeros(image.shape, dtype=torch.uint8), affine=image.affine)

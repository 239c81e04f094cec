"""A MONAI bundle as those of the model zoo, with a small network of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import UNet

_NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 5,
    "channels": [4, 8],
    "strides": [2],
}
CHANNELS = {"0": "Background", "1": "Kidney", "2": "Renal tumor", "3": "cyst", "4": "Liver"}
_DISCRETE = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
_SIGMOID = [
    {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
    {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
]


def _config(masks: bool, inverts: bool) -> dict[str, Any]:
    inverse = {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "image",
        "nearest_interp": masks,
        "to_tensor": True,
    }
    decided = [*_SIGMOID] if masks else [{**_SIGMOID[0], "sigmoid": False, "softmax": True}]
    last = [] if masks else [_DISCRETE]
    save = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "resample": True}
    save |= {"output_postfix": "pred", "separate_folder": False}
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/nowhere",
        "datalist": "$sorted(glob.glob(@dataset_dir + '/*.nii.gz'))",
        "device": "$torch.device('cpu')",
        "network_def": _NETWORK,
        "network": "$@network_def.to(@device)",
        "spacing": [3.0, 3.0, 3.0],
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": "@spacing", "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    **{"a_min": -100, "a_max": 300, "b_min": 0.0, "b_max": 1.0, "clip": True},
                },
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': name} for name in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            **{"roi_size": [32, 32, 32], "sw_batch_size": 1, "overlap": 0.25},
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [*decided, *([inverse] if inverts else []), *last, save],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": True,
        },
        "run": ["$@evaluator.run()"],
    }


def write_zoo_bundle(
    root: Path,
    channels: dict[str, str] | None = None,
    *,
    masks: bool = False,
    inverts: bool = True,
    scripted: bool = False,
    inputs: int = 1,
) -> Path:
    """Writes a bundle.

    Args:
        root: Its folder.
        channels: Their names.
        masks: Whether it gives a mask for each channel, in place of a label map.
        inverts: Whether it brings its label map back to the grid of the image.
        scripted: Whether it has a TorchScript network in place of weights.
        inputs: Channels that its metadata state.
    """
    for part in ("configs", "models"):
        (root / part).mkdir(parents=True)
    (root / "configs" / "inference.json").write_text(json.dumps(_config(masks, inverts)))
    metadata = {
        "version": "0.5.1",
        "network_data_format": {
            "inputs": {"image": {"num_channels": inputs}},
            "outputs": {"pred": {"channel_def": channels or CHANNELS}},
        },
    }
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    torch.manual_seed(3)
    network = UNet(**{name: value for name, value in _NETWORK.items() if name[0] != "_"})
    if scripted:
        torch.jit.script(network.eval()).save(str(root / "models" / "model.ts"))
    else:
        torch.save(network.state_dict(), root / "models" / "model.pt")
    return root

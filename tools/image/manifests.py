"""The manifests of the image: how a platform runs it, and what it contains.

A MONAI Application Package carries ``app.json`` (command, environment, folders) and ``pkg.json``
(models and resources). The names of the fields are those that ``holoscan package`` writes and
``holoscan run`` reads; `bundles` in pkg.json is our addition.

    python -m tools.image.manifests --config app/app.yaml --bundles bundles --out /etc/holoscan
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from renalseg import __version__
from renalseg.errors import ConfigError
from renalseg.inference.metadata import METADATA_FILE, read_metadata

API_VERSION = "1.0.0"
SDK = "monai-deploy"

FOLDERS = (
    "HOLOSCAN_APPLICATION",
    "HOLOSCAN_INPUT_PATH",
    "HOLOSCAN_OUTPUT_PATH",
    "HOLOSCAN_WORKDIR",
    "HOLOSCAN_MODEL_PATH",
    "HOLOSCAN_CONFIG_PATH",
    "HOLOSCAN_APP_MANIFEST_PATH",
    "HOLOSCAN_PKG_MANIFEST_PATH",
    "HOLOSCAN_DOCS_PATH",
    "HOLOSCAN_LOGS_PATH",
)
"""Variables of the image that app.json repeats."""


def application_manifest(
    config: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    """The content of app.json.

    Args:
        config: What app.yaml holds; its section `application` is used.
        environment: The variables of the image, `FOLDERS` and HOLOSCAN_TIMEOUT among them.

    Raises:
        ConfigError: A variable is missing, or app.yaml has no title.
    """
    missing = [name for name in (*FOLDERS, "HOLOSCAN_TIMEOUT") if not environment.get(name)]
    if missing:
        raise ConfigError(f"Expected the variables of the image, found none of {missing}")
    application = _section(config, "application")
    if not application.get("title"):
        raise ConfigError("Expected application.title in app.yaml, found none")
    folders = {name: environment[name] for name in FOLDERS}
    work = folders["HOLOSCAN_WORKDIR"]
    return {
        "apiVersion": API_VERSION,
        # A string that holds a JSON list, as Holoscan's tools write it.
        "command": json.dumps(["python3", "-u", folders["HOLOSCAN_APPLICATION"]]),
        "environment": folders,
        "input": {
            "path": _below(work, folders["HOLOSCAN_INPUT_PATH"]),
            "formats": application.get("inputFormats"),
        },
        "output": {
            "path": _below(work, folders["HOLOSCAN_OUTPUT_PATH"]),
            "formats": application.get("outputFormats"),
        },
        "liveness": None,  # a job that ends, not a service
        "readiness": None,
        "sdk": SDK,
        "sdkVersion": version("monai-deploy-app-sdk"),
        "timeout": int(environment["HOLOSCAN_TIMEOUT"]),
        "title": application["title"],
        "version": __version__,
        "workingDirectory": work,
    }


def package_manifest(
    config: Mapping[str, Any], environment: Mapping[str, str], bundles: Path, *, gpu: bool
) -> dict[str, Any]:
    """The content of pkg.json.

    Args:
        config: What app.yaml holds; its section `resources` is used.
        environment: The variables of the image.
        bundles: Folder with the bundles that the image has at HOLOSCAN_MODEL_PATH.
        gpu: Whether torch in the image can use GPUs; otherwise none is requested.

    Raises:
        ConfigError: There is no bundle, or one without readable metadata.
    """
    root = environment["HOLOSCAN_MODEL_PATH"]
    described = {folder.name: read_metadata(folder) for folder in _bundle_folders(bundles)}
    resources = dict(_section(config, "resources"))
    if not gpu:
        resources = {**resources, "gpu": 0}
        resources.pop("gpuMemory", None)
    return {
        "apiVersion": API_VERSION,
        "applicationRoot": environment["HOLOSCAN_APPLICATION"],
        "modelRoot": root,
        "models": {name: str(PurePosixPath(root, name)) for name in described},
        "bundles": {
            name: {key: metadata[key] for key in ("version", "task", "monai_version")}
            for name, metadata in described.items()
        },
        "resources": resources,
        "version": __version__,
        "platformConfig": "dgpu" if gpu else None,
    }


def write_manifests(config: Path, bundles: Path, folder: Path, *, gpu: bool) -> None:
    """Write both manifests to a folder, from the environment of this process.

    Args:
        config: app.yaml.
        bundles: Folder with the bundles.
        folder: Made if it is not there.
        gpu: Whether torch in the image can use GPUs.
    """
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    manifests = {
        "app.json": application_manifest(content, os.environ),
        "pkg.json": package_manifest(content, os.environ, bundles, gpu=gpu),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, manifest in manifests.items():
        (folder / name).write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def _below(work: str, folder: str) -> str:
    """The path of a folder of the image from its working directory."""
    return f"{PurePosixPath(folder).relative_to(work)}/"


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise ConfigError(f"Expected a section {name!r} in app.yaml, found {section!r}")
    return section


def _bundle_folders(bundles: Path) -> list[Path]:
    found = sorted(path.parents[1] for path in bundles.glob(f"*/{METADATA_FILE}"))
    if not found:
        raise ConfigError(f"Expected bundles with {METADATA_FILE} in {bundles}, found none")
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """The program; the Dockerfile runs it."""
    parser = argparse.ArgumentParser(description="Write app.json and pkg.json.")
    parser.add_argument("--config", type=Path, required=True, help="app.yaml")
    parser.add_argument("--bundles", type=Path, required=True, help="folder with the bundles")
    parser.add_argument("--out", type=Path, required=True, help="folder for the manifests")
    options = parser.parse_args(argv)
    import torch

    gpu = torch.version.cuda is not None
    write_manifests(options.config, options.bundles, options.out, gpu=gpu)


if __name__ == "__main__":
    main()

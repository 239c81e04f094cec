"""The bill of materials of the image, as CycloneDX: its Python packages, and the bundles as models.

    python -m tools.image.sbom --lock deploy/image/cpu.lock --bundles bundles --out sbom.cdx.json

The packages are those of a lock, with the hashes that it accepts. The same lock and bundles give
the same bytes. The packages of the base image are its own: a scanner of images lists them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from renalseg import __version__
from renalseg.errors import ConfigError
from renalseg.inference.metadata import read_metadata, weights_license
from renalseg.runtime.checksums import MANIFEST, sha256_of

ROOT = Path(__file__).parents[2]
_WEIGHTS = "models/model.pt"


def bill(lock: Path, bundles: Path) -> dict[str, Any]:
    """The content of the file.

    Args:
        lock: Made by `make lock`.
        bundles: Folder with the bundles.

    Raises:
        ConfigError: cyclonedx-bom cannot read the lock, or there is no bundle.
    """
    found = sorted(path.parent for path in bundles.glob(f"*/{MANIFEST}"))
    models = [_model(folder) for folder in found if (folder / _WEIGHTS).is_file()]
    if not models:
        raise ConfigError(f"Expected bundles with {_WEIGHTS} in {bundles}, found none")
    content = _packages(lock)
    content["metadata"]["component"]["version"] = __version__
    content["components"] += models
    content["dependencies"] += [{"ref": model["bom-ref"]} for model in models]
    return content


def _packages(lock: Path) -> dict[str, Any]:
    """What cyclonedx-bom makes of a lock, with RenalSeg as the subject."""
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible"),
        *("--output-format", "JSON", "--mc-type", "application"),
        *("--pyproject", str(ROOT / "pyproject.toml"), str(lock)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"Expected cyclonedx-bom to read {lock}: {done.stderr.strip()}")
    content: dict[str, Any] = json.loads(done.stdout)
    for package in content["components"]:
        del package["description"]  # the lines of the lock, as its hashes are already
    return content


def _model(bundle: Path) -> dict[str, Any]:
    metadata = read_metadata(bundle)
    return {
        "type": "machine-learning-model",
        "bom-ref": f"bundle:{bundle.name}",
        "name": bundle.name,
        "version": metadata["version"],
        "description": metadata["description"],
        "licenses": [{"license": {"id": weights_license(bundle)}}],
        "hashes": [{"alg": "SHA-256", "content": sha256_of(bundle / _WEIGHTS)}],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The program; the Dockerfile and `make sbom` run it."""
    parser = argparse.ArgumentParser(description="Write the bill of materials of the image.")
    parser.add_argument("--lock", type=Path, required=True, help="packages of the image")
    parser.add_argument("--bundles", type=Path, required=True, help="folder with the bundles")
    parser.add_argument("--out", type=Path, required=True, help="file")
    options = parser.parse_args(argv)
    content = bill(options.lock, options.bundles)
    options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Pins the images that others make by digest: a tag can be moved, a digest cannot.

    python -m tools.image.digests

Asks the registries with skopeo for the digest of each ``docker.io/NAME:TAG`` in the files below,
and writes it behind the tag. Run it again to move to what the tags name by then.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from renalseg.errors import ConfigError

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "Makefile", "deploy/compose/compose.yaml")
IMAGE = re.compile(r"(docker\.io/[\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?")


def pin(root: Path = ROOT) -> list[str]:
    """Writes the digest of each image into `FILES`, in all of them or in none.

    Returns:
        The images, with their digests.

    Raises:
        ConfigError: skopeo is missing, or a registry does not answer.
    """
    texts = {root / name: (root / name).read_text(encoding="utf-8") for name in FILES}
    names = sorted({match[1] for text in texts.values() for match in IMAGE.finditer(text)})
    pinned = {name: f"{name}@{digest_of(name)}" for name in names}
    for path, text in texts.items():
        path.write_text(IMAGE.sub(lambda match: pinned[match[1]], text), encoding="utf-8")
    return list(pinned.values())


def digest_of(image: str) -> str:
    """The digest that a tag names now, for all architectures.

    Raises:
        ConfigError: skopeo cannot say.
    """
    command = ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", f"docker://{image}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigError(f"Expected skopeo, which asks registries for digests: {error}") from error
    digest = done.stdout.strip()
    if done.returncode or not re.fullmatch("sha256:[0-9a-f]{64}", digest):
        said = done.stderr.strip() or digest
        raise ConfigError(f"Expected the digest of {image} from its registry, got: {said}")
    return digest


def main() -> None:
    """The program; `make digests` runs it."""
    try:
        sys.stdout.write("".join(f"{image}\n" for image in pin()))
    except ConfigError as error:
        sys.exit(f"digests: error: {error}")


if __name__ == "__main__":
    main()

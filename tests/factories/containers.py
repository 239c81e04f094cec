"""Podman and buildah with a storage of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# What a careful platform sets.
HARDENED = (
    "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,mode=1777,size=1g",
    "--user=1000:1000",
)  # fmt: skip
ALWAYS = (
    "--runtime=runc", "--rm", "--network=none", "--cap-drop=ALL",
    "--security-opt=no-new-privileges", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096",
)  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """Podman and buildah on one storage.

    Attributes:
        folder: Holds the storage.
        driver: "overlay", or "vfs", which copies every layer.
    """

    folder: Path
    driver: str

    @property
    def _storage(self) -> list[str]:
        return [
            f"--root={self.folder}/storage",
            f"--runroot={self.folder}/run",
            f"--storage-driver={self.driver}",
        ]

    @property
    def buildah(self) -> str:
        """The command, with its storage."""
        return " ".join(["buildah", *self._storage])

    def podman(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run podman."""
        command = ["podman", *self._storage, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)

    def run(
        self, image: str, *arguments: str, flags: tuple[str, ...] = HARDENED
    ) -> subprocess.CompletedProcess[str]:
        """Run a container to its end, without network and capabilities."""
        return self.podman("run", *ALWAYS, *flags, image, *arguments)

    def has(self, image: str) -> bool:
        """Whether the storage has an image."""
        return self.podman("image", "exists", image).returncode == 0

    def import_folder(self, folder: Path, image: str) -> None:
        """Make an image of a root file system."""
        archive = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        with archive:
            command = ["podman", *self._storage, "import", "-", image]
            subprocess.run(command, stdin=archive.stdout, check=True, stdout=sys.stderr)
        assert archive.returncode == 0

    def release(self) -> None:
        """Unmount what podman leaves mounted, so that the folder can be removed."""
        self.podman("unmount", "--all")
        subprocess.run(
            ["umount", self.folder / "storage" / self.driver], check=False, capture_output=True
        )


def machine_pip(folder: Path) -> list[str]:
    """Options that give a build the pip settings of this machine, which do not go into the image.

    Args:
        folder: Gets the file with the settings.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    # such as global.cert='...' or :env:.cert='...'
    settings = dict(re.findall(r"\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE))
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "pip.conf"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    config.write_text("\n".join(["[global]", *lines, ""]))
    named = re.findall(r"(?:file://)?(/[^\s']+)", " ".join(settings.values()))
    paths = {_top(Path(name)) for name in named if Path(name).exists()}
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.is_file():
        paths.add(certificates)
    mounts = {config: Path("/etc/pip.conf"), **{path: path for path in paths}}
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


def _top(path: Path) -> Path:
    """Local indexes link to files in folders beside theirs."""
    return path.parent if path.name == "simple" else path

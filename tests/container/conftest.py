"""The image, built on this machine without a registry, and a way to run it as a platform would.

The base is a Debian that debootstrap makes, the build is buildah's with chroot isolation, the
containers are podman's with runc: none of it needs a daemon or nested virtualization. What is built
stays in build/container, so that the base is made once; `make clean` removes it. Variables:
RENALSEG_TEST_FOLDER (another folder than that; it takes 10 GB), RENALSEG_TEST_BASE (an image to
build on instead), RENALSEG_TEST_IMAGE (an image to test instead of building one),
RENALSEG_TEST_STORAGE (vfs where overlay is not to be had).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from renalseg.synthesis.sample import write_sample
from tests.factories.containers import Engine, machine_pip

ROOT = Path(__file__).parents[2]
HOME = Path(os.environ.get("RENALSEG_TEST_FOLDER", ROOT / "build" / "container"))
PROGRAMS = ("podman", "buildah", "runc", "debootstrap")


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Podman with a storage of its own."""
    if os.environ.get("RENALSEG_TEST_CONTAINER") != "1":
        pytest.skip("takes minutes and gigabytes: run `make test-container`")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    engine = Engine(HOME, os.environ.get("RENALSEG_TEST_STORAGE", "overlay"))
    yield engine
    engine.release()


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """A Debian with Python and nothing else, as an image."""
    given = os.environ.get("RENALSEG_TEST_BASE")
    if given:
        return given
    name = "localhost/renalseg-base:bookworm"
    if not engine.has(name):
        system = HOME / "system"
        shutil.rmtree(system, ignore_errors=True)
        include = "--include=python3,ca-certificates"
        subprocess.run(
            ["debootstrap", "--variant=minbase", include, "bookworm", system],
            check=True,
            stdout=sys.stderr,
        )
        engine.import_folder(system, name)
        shutil.rmtree(system)
    return name


@pytest.fixture(scope="session")
def image(engine: Engine, request: pytest.FixtureRequest) -> str:
    """The image for CPUs, by `make image`."""
    given = os.environ.get("RENALSEG_TEST_IMAGE")
    if given:
        return given
    name, base = "localhost/renalseg:test", request.getfixturevalue("base")
    flags = ["--isolation=chroot", "--network=host", *machine_pip(HOME)]
    subprocess.run(
        ["make", "image", "LOCK=cpu", f"IMAGE_TOOL={engine.buildah}", f"IMAGE={name}",
         f"BASE={base}", f"BUILD_FLAGS={' '.join(flags)}"],
        cwd=ROOT, check=True, stdout=sys.stderr,
    )  # fmt: skip
    return name


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DICOM files of a synthetic CT, readable by anybody."""
    folder = tmp_path_factory.mktemp("study")
    write_sample(folder, 1, slices=64, size=128)
    for path in (*folder.parents[:3], folder, folder / "dicom"):
        path.chmod(path.stat().st_mode | 0o755)
    return folder / "dicom"

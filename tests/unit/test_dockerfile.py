"""What the Dockerfile states is what the package manifests, pins and users of the image need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from renalseg import __version__
from tests.factories.deployment import pinned
from tests.factories.dockerfile import instructions, variables
from tools.image.manifests import FOLDERS

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"

# MONAI Deploy and Holoscan: packages of theirs have these paths, and platforms mount them.
PATHS = {
    "HOLOSCAN_APPLICATION": "/opt/holoscan/app",
    "HOLOSCAN_MODEL_PATH": "/opt/holoscan/models",
    "HOLOSCAN_DOCS_PATH": "/opt/holoscan/docs",
    "HOLOSCAN_WORKDIR": "/var/holoscan",
    "HOLOSCAN_INPUT_PATH": "/var/holoscan/input",
    "HOLOSCAN_OUTPUT_PATH": "/var/holoscan/output",
    "HOLOSCAN_LOGS_PATH": "/var/holoscan/logs",
    "HOLOSCAN_CONFIG_PATH": "/var/holoscan/app.yaml",
    "HOLOSCAN_APP_MANIFEST_PATH": "/etc/holoscan/app.json",
    "HOLOSCAN_PKG_MANIFEST_PATH": "/etc/holoscan/pkg.json",
}
LABELS = {
    "base", "tag", "org.opencontainers.image.title", "org.opencontainers.image.version",
    "org.nvidia.holoscan", "org.monai.deploy.app-sdk",
}  # fmt: skip


def test_paths_are_those_of_a_monai_application_package() -> None:
    environment = variables(DOCKERFILE, "ENV")
    assert set(FOLDERS) == set(PATHS)
    assert {name: environment[name] for name in PATHS} == PATHS
    assert environment["HOLOSCAN_TIMEOUT"] == "0"


def test_versions_are_those_that_are_installed() -> None:
    arguments = variables(DOCKERFILE, "ARG")
    assert arguments["VERSION"] == __version__
    assert arguments["HOLOSCAN"] == pinned("holoscan-cu13")
    assert arguments["APP_SDK"] == pinned("monai-deploy-app-sdk")
    assert arguments["LOCK"] == "cuda"


def test_the_default_base_is_the_runtime_of_cuda_13() -> None:
    assert re.search(r"/cuda:13\.\d+\.\d+-runtime-", variables(DOCKERFILE, "ARG")["BASE"])


def test_labels_of_the_package_are_set() -> None:
    assert set(variables(DOCKERFILE, "LABEL")) >= LABELS


def test_every_stage_comes_from_one_base() -> None:
    sources = [argument.split()[0] for name, argument in instructions(DOCKERFILE) if name == "FROM"]
    assert sources == ["${BASE}", "python", "python"]


def test_the_container_runs_as_an_unprivileged_user_through_the_tools() -> None:
    last = dict(instructions(DOCKERFILE))
    assert last["USER"] == "1000:1000"
    assert last["ENTRYPOINT"] == '["/var/holoscan/tools"]'


@pytest.mark.parametrize("name", ["HOME", "MPLCONFIGDIR"])
def test_caches_lie_where_a_read_only_container_can_write(name: str) -> None:
    value = variables(DOCKERFILE, "ENV")[name]
    assert value == "/tmp" or value.startswith("/tmp/")


def test_what_is_copied_is_in_the_context_and_nothing_else() -> None:
    copied = {
        source.rstrip("/")
        for name, argument in instructions(DOCKERFILE)
        if name == "COPY" and not argument.startswith("--from")
        for source in argument.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*"
    assert all((ROOT / source).exists() for source in copied)
    assert {source for source in copied if not source.startswith(("app/", "deploy/"))} | {
        "app",
        "deploy/image",
    } == allowed


def test_only_what_is_locked_is_installed() -> None:
    """By pip with hashes, but for the wheel that the build makes itself, without an index."""
    commands = " && ".join(argument for name, argument in instructions(DOCKERFILE) if name == "RUN")
    assert set(re.findall(r"pip install (\S+ \S+ \S+)", commands)) == {
        "--no-cache-dir --no-deps --no-index"
    }
    options = variables(DOCKERFILE, "ARG")["PIP"].split()
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(options)
    assert commands.count("${PIP}") == 2

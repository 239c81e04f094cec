"""Settings that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import Phase

from renalseg.runtime.cuda_runtime import ensure_cuda_runtime
from renalseg.runtime.process import prepare
from tests.factories.logs import log_as_before

KEPT = ("RENALSEG_DATA", "RENALSEG_CACHE")

# Workers of pytest-xdist, and the programs that their tests start, share the cores. If each had a
# thread for each core, they would wait for one another.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

# As the programs do, before a test module imports MONAI.
prepare()
ensure_cuda_runtime()

# The same few examples at every run, and no search for simpler ones.
# HYPOTHESIS_PROFILE=thorough draws many new ones.
hypothesis.settings.register_profile(
    "quick",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("RENALSEG_DATA", ROOT.parent / "shared" / "data")).resolve()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real CTs and labels, for tests that are marked `data`."""
    return DATA


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep converted networks out of the user's own cache; the programs that tests start too.

    All workers of a session share it, as programs do.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if WORKERS > 1 else base) / "cache"
    folder.mkdir(exist_ok=True)
    os.environ["RENALSEG_CACHE"] = str(folder)
    # else each program that tests start compiles all modules that it imports
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Keep the log that one test configures out of the others of its process."""
    with log_as_before():
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the choices of the user's own environment out of the tests."""
    for name in os.environ:
        if name.startswith(("RENALSEG_", "HOLOSCAN_", "MERCURE_")) and name not in KEPT:
            monkeypatch.delenv(name)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Say how a process of pytest-xdist died; -9 is a signal, such as that of a lack of memory."""
    if error:
        code = node.gateway._io.popen.wait(timeout=60)
        reporter = node.config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(f"\n{node.gateway.id} ended with {code}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine has no hardware or data for."""
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("no CUDA device")
    if item.get_closest_marker("data") and not DATA.is_dir():
        pytest.skip(f"no CT data in {DATA} (RENALSEG_DATA)")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()

"""The studies of an archive on a cluster of Ray: a process for each that is worked on."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Generator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from renalseg.archive import Ended, segment_all
from renalseg.errors import ConfigError, RetryableError
from renalseg.inference.models import Models
from renalseg.runtime.process import prepare
from renalseg.settings import Settings

TRIES = 3  # of a study whose process or machine dies
CORES = 4  # of a study, or all of a machine that has less


def on_ray(
    studies: Sequence[Path], out_root: Path, settings: Settings, *, cores: int | None = None
) -> Generator[Ended]:
    """Segments studies on the cluster that RAY_ADDRESS names, else on this machine.

    A process keeps its models between studies. Where one dies, or its machine, Ray gives its study
    to another; after three times it ends as one that can be tried again.

    Args:
        studies: As `segment_all` takes them; under the same paths on every machine.
        out_root: Likewise.
        settings: What runs; bundles too are under the same paths.
        cores: Of the CPU, for each study; `CORES` by default. A GPU has one study at a time.

    Yields:
        How each study ended, in any order, as soon as it did.

    Raises:
        ConfigError: Ray is missing, no machine of the cluster has what a study needs, or a bundle
            is missing or broken.
        RetryableError: Ray does not start, or its cluster does not answer.
    """
    ray = _connect()
    try:
        gpus = int(settings.choice.device.type == "cuda")
        needed = {"num_cpus": _cores(ray.nodes(), gpus, cores), "num_gpus": gpus}
        segment = ray.remote(**needed, max_retries=TRIES - 1)(_segment)
        place, given = out_root.resolve(), pickle.dumps(settings)
        running = {segment.remote(study.resolve(), place, given): study for study in studies}
        while running:
            (done,), _ = ray.wait(list(running))
            study = running.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                died = RetryableError(f"its process died {TRIES} times: {type(error).__name__}")
                yield Ended(study, None, died, 0.0, settings=settings)
    finally:
        ray.shutdown()


def _connect() -> Any:
    """Connects to the cluster, or starts one on this machine, and gives the module of Ray."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "Expected ray for --engine ray, found none: pip install 'renalseg[ray]'"
        ) from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports its use to its makers
    try:
        ray.init(log_to_driver=False)
    except Exception as error:  # it raises this very class, too
        raise RetryableError(
            f"Ray did not start, or the cluster of RAY_ADDRESS did not answer: {error}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        # Ray's own ends with 1 and a trace; its processes end with this one
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    return ray


def _cores(nodes: Sequence[Mapping[str, Any]], gpus: int, wanted: int | None) -> int:
    """The cores of a study; more than any machine has would never begin."""
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    able = [int(each.get("CPU", 0)) for each in machines if each.get("GPU", 0) >= gpus]
    largest = max(able, default=0)
    cores = min(CORES, largest) if wanted is None else wanted
    if not 0 < cores <= largest:
        raise ConfigError(
            f"Expected a machine with {cores or 'some'} cores{' and a GPU' * gpus} in the cluster, "
            f"found {largest} cores at most"
        )
    return cores


def _segment(study: Path, out_root: Path, given: bytes) -> Ended:
    """Segments a study in a process of Ray."""
    models, settings = _load(given)
    (ended,) = segment_all([study], out_root, models, settings)
    return ended


@cache
def _load(given: bytes) -> tuple[Models, Settings]:
    """Loads the models of a process once; they live as long as it does."""
    prepare()
    settings: Settings = pickle.loads(given)
    return Models(settings.choice), settings

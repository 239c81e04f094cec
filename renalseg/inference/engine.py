"""Engines that run a network: torch, or OpenVINO on CPUs in a third of the time or less.

An engine is an `nn.Module` with the network's forward, so it can take the network's place in
inferers and MONAI's evaluators. Both engines follow ``torch.autocast``: inside it they compute in
bfloat16, outside in float32.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from renalseg.errors import ConfigError
from renalseg.runtime.checksums import check_manifest, write_manifest
from renalseg.runtime.staging import remove_abandoned, staging, sync_all

if TYPE_CHECKING:
    import openvino

ENGINES = ("auto", "torch", "openvino")

_log = logging.getLogger(__name__)


def make_engine(
    network: nn.Module,
    device: torch.device,
    engine: str = "auto",
    input_shape: Sequence[int] | None = None,
) -> nn.Module:
    """Makes the engine that runs a network.

    Args:
        network: On its device, in evaluation mode, with its weights.
        device: Where it runs.
        engine: "torch"; "openvino", for CPUs only; or "auto": OpenVINO if it is installed and the
            device is a CPU, otherwise torch.
        input_shape: The (C, X, Y, Z) of every input, if it is constant.

    Raises:
        ConfigError: There is no such engine, or it does not support the device.
    """
    installed = importlib.util.find_spec("openvino") is not None
    if engine not in ENGINES:
        raise ConfigError(f"Expected an engine of {', '.join(ENGINES)}, got {engine!r}")
    if engine == "openvino" and (device.type != "cpu" or not installed):
        reason = "is not installed" if device.type == "cpu" else f"does not run on {device}"
        raise ConfigError(f"Expected an engine that works here, got openvino, which {reason}")
    if engine == "torch" or device.type != "cpu" or not installed:
        return network
    return OpenVINOEngine(network, input_shape)


def cache_dir() -> Path | None:
    """Returns the cache folder: RENALSEG_CACHE, or the user's cache folder.

    None for a user without a home folder, as in containers: networks must not be loaded from a
    folder that others can write to.
    """
    if chosen := os.environ.get("RENALSEG_CACHE"):
        return Path(chosen)
    if user := os.environ.get("XDG_CACHE_HOME"):
        return Path(user) / "renalseg"
    try:
        return Path.home() / ".cache" / "renalseg"
    except RuntimeError:
        return None


class OpenVINOEngine(nn.Module):
    """Runs a network on the CPU with OpenVINO.

    Converts the network once per input shape, which takes seconds, and stores the result with
    checksums in `cache_dir`, under a name that changes with the weights, the networks' code and the
    versions. Damaged entries are rebuilt. If the folder cannot be written, each process converts
    again.

    Args:
        network: On the CPU, in evaluation mode.
        input_shape: (C, X, Y, Z) that `prepare` is for.

    Shape:
        as the network's.
    """

    def __init__(self, network: nn.Module, input_shape: Sequence[int] | None = None) -> None:
        super().__init__()
        self.network = network
        self.input_shape = input_shape
        self._compiled: dict[tuple[torch.Size, str], Callable[..., Any]] = {}
        self._identity: str | None = None
        self.eval()

    def prepare(self) -> None:
        """Converts and compiles the network for its input shape, if that is known."""
        if self.input_shape is not None:
            self._compiled_for(torch.Size((1, *self.input_shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the network's output, float32."""
        (logits,) = self._compiled_for(x.shape)(
            [x.float().contiguous().numpy()], share_inputs=True
        ).values()
        return torch.from_numpy(logits)

    def _compiled_for(self, shape: torch.Size) -> Callable[..., Any]:
        half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") != torch.float32
        precision = "bf16" if half else "f32"
        key = (shape, precision)
        if key not in self._compiled:
            self._compiled[key] = self._compile(shape, precision)
        return self._compiled[key]

    def _compile(self, shape: torch.Size, precision: str) -> openvino.CompiledModel:
        core = _core()
        return core.compile_model(
            self._model(core, shape),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            },
        )

    def _model(self, core: openvino.Core, shape: torch.Size) -> openvino.Model:
        """Returns the network as an OpenVINO model, from the cache or newly converted.

        Always as it is read from a file: compiled as it comes from the conversion, it gives other
        roundings, and a first run would find other voxels than the next.
        """
        store = cache_dir()
        if store is None:
            return _read_back(core, _convert(self.network, shape))
        size = "x".join(map(str, shape))
        folder = store / f"{type(self.network).__name__}-{size}-{self._hash()}"
        if folder.is_dir():
            try:
                if not check_manifest(folder, "."):
                    raise ConfigError(f"no checksums in {folder}")
                return core.read_model(folder / "model.xml")
            except (ConfigError, OSError, RuntimeError) as error:
                _log.warning("converting again because %s cannot be read: %s", folder, error)
                shutil.rmtree(folder, ignore_errors=True)
        model = _convert(self.network, shape)
        try:
            _save(model, folder)
            return core.read_model(folder / "model.xml")
        except (OSError, RuntimeError) as error:
            _log.info("the converted network could not be cached: %s", error)
        return _read_back(core, model)

    def _hash(self) -> str:
        if self._identity is None:
            import openvino

            digest = hashlib.sha256()
            versions = (torch.__version__, openvino.__version__, version("monai"))
            for part in (*versions, repr(self.network)):
                digest.update(part.encode())
            digest.update(json.dumps(_constants(self.network)).encode())
            own = Path(__file__)
            for source in (own, *sorted(own.parents[1].glob("networks/*.py"))):
                digest.update(source.read_bytes())
            for name, weight in self.network.state_dict().items():
                digest.update(name.encode())
                digest.update(weight.contiguous().numpy().data)
            self._identity = digest.hexdigest()[:20]
        return self._identity


@cache
def _core() -> openvino.Core:
    """Returns the one core of this process, which lives as long.

    OpenVINO gives the thread that makes a core another stack for signals, and sets the one before
    when the core goes. Of two cores that go in the order in which they came, the second sets the
    stack of the first, which is no longer there: the next signal, even SIGTERM, would be a crash.
    """
    import openvino

    return openvino.Core()


def _constants(network: nn.Module) -> list[str]:
    """Collects settings that neither the weights nor the layers' names reveal."""
    kinds = (bool, int, float, str)
    return [
        f"{name}.{key}={value}"
        for name, module in network.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, kinds)
    ]


def _convert(network: nn.Module, shape: torch.Size) -> openvino.Model:
    """Traces a network for one shape.

    By OpenVINO's frontend and not its `convert_model`, which reports its use over the internet.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with (
        warnings.catch_warnings(),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),  # compilation chooses the precision
    ):
        # sizes become constants on purpose: the model is for one shape
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(network, example_input=torch.zeros(shape))
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(shape))
    return model


def _read_back(core: openvino.Core, model: openvino.Model) -> openvino.Model:
    """Passes a model through a temporary file; returns the model itself if none can be written."""
    import openvino

    try:
        with tempfile.TemporaryDirectory(prefix="renalseg-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "model.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
            return core.read_model(path)
    except (OSError, RuntimeError) as error:
        _log.info("no folder for temporary files: %s", error)
        return model


def _save(model: openvino.Model, folder: Path) -> None:
    """Stores a model in the cache atomically; other processes may do the same."""
    import openvino

    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder.parent)
    with staging(folder.parent) as partial:
        try:
            openvino.save_model(model, partial.files / "model.xml", compress_to_fp16=False)
            write_manifest(partial.files, ".")
            sync_all(partial.files)
            partial.files.rename(folder)
        except (OSError, RuntimeError) as error:
            if not folder.is_dir():  # otherwise another process was first
                raise OSError(str(error)) from error

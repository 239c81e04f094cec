from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from renalseg.errors import ConfigError
from renalseg.inference import engine
from renalseg.inference.engine import OpenVINOEngine, cache_dir, make_engine
from renalseg.inference.inferers import fast_dtype
from renalseg.networks import SEHDCUNet

CPU = torch.device("cpu")


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv3d(1, 4, 3, padding=1), nn.InstanceNorm3d(4), nn.ReLU(), nn.Conv3d(4, 2, 1)]
    return nn.Sequential(*layers).eval()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RENALSEG_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes for which a network was converted."""
    shapes: list[torch.Size] = []
    convert = engine._convert

    def counting(network: nn.Module, shape: torch.Size) -> object:
        shapes.append(shape)
        return convert(network, shape)

    monkeypatch.setattr(engine, "_convert", counting)
    return shapes


def image(*size: int) -> Tensor:
    return torch.randn((1, 1, *size), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(16, 12, 8), (9, 7, 5)])
def test_openvino_gives_the_logits_of_torch(size: tuple[int, ...]) -> None:
    network = make_network()
    with torch.inference_mode():
        torch.testing.assert_close(
            make_engine(network, CPU, "openvino")(image(*size)),
            network(image(*size)),
            atol=1e-4,
            rtol=1e-4,
        )


@pytest.mark.skipif(fast_dtype(CPU) != torch.bfloat16, reason="no bfloat16 on this processor")
def test_within_autocast_it_computes_in_bfloat16() -> None:
    network = make_network()
    running = OpenVINOEngine(network)
    x = image(16, 12, 8)
    with torch.inference_mode():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = running(x)
    difference = (rounded - exact).abs().max()
    assert rounded.dtype == torch.float32
    assert 1e-4 < difference < 0.05 * exact.abs().max()


def test_results_of_two_calls_do_not_share_memory() -> None:
    running = OpenVINOEngine(make_network())
    with torch.inference_mode():
        first = running(image(8, 8, 8))
        kept = first.clone()
        running(torch.zeros(1, 1, 8, 8, 8))
    assert torch.equal(first, kept)


def test_a_network_is_converted_once_for_each_shape(conversions: list[torch.Size]) -> None:
    for _ in range(2):  # the second time as another process would
        running = OpenVINOEngine(make_network())
        for size in ((8, 8, 8), (8, 8, 8), (8, 8, 4)):
            running(image(*size))
    assert [tuple(shape[2:]) for shape in conversions] == [(8, 8, 8), (8, 8, 4)]


@pytest.mark.parametrize("half", [False, True])
def test_the_first_run_gives_what_later_ones_and_those_without_a_cache_give(
    cache: Path, conversions: list[torch.Size], monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    """To the last bit: a rerun gives the same voxels."""
    torch.manual_seed(0)
    network = SEHDCUNet(in_channels=1, out_channels=1).eval()
    x = image(48, 32, 32)

    def run() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return OpenVINOEngine(network)(x)

    first, later = run(), run()
    assert len(conversions) == 1
    monkeypatch.setenv("RENALSEG_CACHE", str(cache / "file"))
    (cache / "file").touch()
    unkept = run()
    assert len(conversions) == 2
    assert torch.equal(first, later)
    assert torch.equal(first, unkept)


def test_other_weights_are_another_network(conversions: list[torch.Size]) -> None:
    outputs = [OpenVINOEngine(make_network(seed))(image(8, 8, 8)) for seed in (0, 1)]
    assert len(conversions) == 2
    assert not torch.allclose(outputs[0], outputs[1])


def test_another_setting_is_another_network(conversions: list[torch.Size]) -> None:
    for eps in (1e-5, 1.0):
        network = make_network()
        network[1].eps = eps
        OpenVINOEngine(network)(image(8, 8, 8))
    assert len(conversions) == 2


def test_a_broken_cache_is_made_again(cache: Path, conversions: list[torch.Size]) -> None:
    expected = OpenVINOEngine(make_network())(image(8, 8, 8))
    (model,) = cache.glob("*/model.xml")
    model.write_text("<net")
    assert torch.equal(OpenVINOEngine(make_network())(image(8, 8, 8)), expected)
    assert len(conversions) == 2
    OpenVINOEngine(make_network())(image(8, 8, 8))
    assert len(conversions) == 2


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("spoil", [flipped, truncated, Path.unlink])
@pytest.mark.parametrize("name", ["model.bin", "model.xml", "SHA256SUMS"])
def test_damage_in_the_cache_is_noticed(
    cache: Path, conversions: list[torch.Size], name: str, spoil: Callable[[Path], None]
) -> None:
    """OpenVINO itself reads other weights than were written without a word."""
    expected = OpenVINOEngine(make_network())(image(8, 8, 8))
    (path,) = cache.glob(f"*/{name}")
    spoil(path)
    for _ in range(2):
        assert torch.equal(OpenVINOEngine(make_network())(image(8, 8, 8)), expected)
    assert len(conversions) == 2


@pytest.mark.skipif(os.name != "posix", reason="needs limits of POSIX")
def test_a_full_disk_leaves_nothing_in_the_cache(
    cache: Path, conversions: list[torch.Size]
) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        first = OpenVINOEngine(make_network())(image(8, 8, 8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(cache.iterdir()) == []
    assert torch.equal(OpenVINOEngine(make_network())(image(8, 8, 8)), first)


def test_what_a_killed_process_left_in_the_cache_is_removed(cache: Path) -> None:
    (cache / ".renalseg-x").mkdir()
    OpenVINOEngine(make_network())(image(8, 8, 8))
    assert len(list(cache.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("RENALSEG_CACHE", str(file / "below"))
    assert OpenVINOEngine(make_network())(image(8, 8, 8)).shape == (1, 2, 8, 8, 8)


def test_nothing_half_written_stays_in_the_cache(cache: Path) -> None:
    OpenVINOEngine(make_network())(image(8, 8, 8))
    (folder,) = cache.iterdir()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["SHA256SUMS", "model.bin", "model.xml"]


def test_cache_is_the_users_where_none_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RENALSEG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "renalseg"


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("RENALSEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_dir() is None
    assert OpenVINOEngine(make_network())(image(8, 8, 8)).shape == (1, 2, 8, 8, 8)


SIGNALED = """
import gc, os, signal, sys
import torch
from renalseg.inference.engine import OpenVINOEngine

def engine():
    made = OpenVINOEngine(torch.nn.Conv3d(1, 1, 1).eval(), (1, 4, 4, 4))
    made.prepare()
    return made

first, second = engine(), engine()
for name in ("first", "second"):
    del globals()[name]
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_whose_engines_are_gone_survives_a_signal() -> None:
    """A worker that has closed its models ends as it should."""
    assert subprocess.run([sys.executable, "-c", SIGNALED], check=False).returncode == 75


def test_auto_is_openvino_on_a_cpu_and_torch_elsewhere() -> None:
    network = make_network()
    assert isinstance(make_engine(network, CPU), OpenVINOEngine)
    assert make_engine(network, torch.device("cuda")) is network
    assert make_engine(network, CPU, "torch") is network


@pytest.mark.parametrize(("name", "device"), [("tensorrt", "cpu"), ("openvino", "cuda")])
def test_an_engine_that_cannot_run_is_refused(name: str, device: str) -> None:
    with pytest.raises(ConfigError, match=name):
        make_engine(make_network(), torch.device(device), name)

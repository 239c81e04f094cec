from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from renalseg.errors import EXIT_RETRYABLE, ConfigError, exit_code_for
from renalseg.inference import bundle as module
from renalseg.inference.bundle import (
    Bundle,
    empty_prediction,
    load_network,
    make_case,
    segment_case,
)
from renalseg.runtime.checksums import write_manifest
from tests.factories import bundles
from tests.factories.scenes import GRIDS, volume

CPU = torch.device("cpu")
GRID = GRIDS["axial"]
CONFIG = bundles.CONFIG.replace("  engine: torch\n", "")  # the default


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bundle whose network tells positive voxels from negative ones."""
    return bundles.write_bundle(tmp_path / "kidney_tiny", version="4.5.6", config=CONFIG)


def image() -> torch.Tensor:
    values = torch.full(GRID.shape, -1.0)
    values[3:9, 4:8, 5:15] = 1.0
    return values


def test_a_bundle_segments_on_the_grid_of_the_image(root: Path) -> None:
    ct = volume(image().numpy(), GRID)
    pred = Bundle(root, CPU)(ct)
    assert torch.equal(pred.as_tensor()[0], (image() > 0).to(torch.uint8))
    torch.testing.assert_close(pred.affine, ct.affine)


def test_the_version_is_that_of_the_metadata(root: Path) -> None:
    assert Bundle(root, CPU).version == "4.5.6"


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path / "kidney_none")):
        Bundle(tmp_path / "kidney_none", CPU)


@pytest.mark.parametrize("name", ["configs/inference.yaml", "configs/metadata.json"])
def test_an_incomplete_bundle_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(ConfigError, match=str(root / name)):
        Bundle(root, CPU)


def test_missing_weights_are_named(root: Path) -> None:
    weights = root / "models" / "model.pt"
    weights.unlink()
    with pytest.raises(ConfigError, match=f"weights at {weights}, found no file"):
        Bundle(root, CPU)


def wrong_shape(path: Path) -> None:
    torch.save({"weight": torch.ones(2, 1, 1, 1, 1), "bias": torch.zeros(2)}, path)


def wrong_names(path: Path) -> None:
    torch.save({"other": torch.ones(1)}, path)


def whole_module(path: Path) -> None:
    torch.save(nn.Conv3d(1, 1, 1), path)  # would need to run code to load


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("spoil", [wrong_shape, wrong_names, whole_module, truncated])
def test_wrong_weights_are_named(root: Path, spoil: Callable[[Path], None]) -> None:
    weights = root / "models" / "model.pt"
    spoil(weights)
    with pytest.raises(ConfigError, match=f"weights {weights} do not fit"):
        Bundle(root, CPU)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inference.yaml", "network: ["),
        ("inference.yaml", CONFIG.replace("SimpleInferer", "NoSuchInferer")),
        ("inference.yaml", CONFIG.replace("inferer:", "inference:")),
        ("metadata.json", "{"),
    ],
)
def test_a_broken_bundle_is_named(root: Path, name: str, text: str) -> None:
    (root / "configs" / name).write_text(text)
    with pytest.raises(ConfigError, match=f"bundle {root} is broken"):
        Bundle(root, CPU)


def test_a_bundle_with_a_right_manifest_is_loaded(root: Path) -> None:
    write_manifest(root)
    assert Bundle(root, CPU).version == "4.5.6"


@pytest.mark.parametrize("name", ["models/model.pt", "configs/inference.yaml"])
def test_a_bundle_that_is_not_as_its_manifest_says_is_refused(root: Path, name: str) -> None:
    write_manifest(root)
    with (root / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ConfigError, match=f"{root / name} is not the file"):
        Bundle(root, CPU)


def test_out_of_memory_is_no_broken_bundle(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*arguments: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "load_network", run_out)
    with pytest.raises(RuntimeError) as raised:  # as MONAI wraps it
        Bundle(root, CPU)
    assert exit_code_for(raised.value) == EXIT_RETRYABLE


def test_a_loaded_network_is_ready_to_infer(root: Path) -> None:
    network = load_network(nn.Conv3d(1, 1, 1), root / "models" / "model.pt", CPU)
    assert not network.training


def test_half_precision_weights_are_loaded_as_float32(root: Path) -> None:
    weights = {"weight": torch.ones(1, 1, 1, 1, 1).half(), "bias": torch.zeros(1).half()}
    torch.save(weights, root / "models" / "model.pt")
    network = load_network(nn.Conv3d(1, 1, 1), root / "models" / "model.pt", CPU)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_case_knows_its_source() -> None:
    source = make_case(volume(image().numpy(), GRID))["source"]
    assert source.shape == GRID.shape


@pytest.mark.parametrize("other", ["reversed", "coronal"])
def test_a_kidney_mask_on_another_grid_is_refused(other: str) -> None:
    grid = GRIDS[other]
    mask = volume(torch.zeros(grid.shape, dtype=torch.uint8).numpy(), grid)
    with pytest.raises(ValueError, match="on the grid of the image"):
        make_case(volume(image().numpy(), GRID), mask)


def test_without_an_item_there_is_no_prediction(root: Path) -> None:
    bundle = Bundle(root, CPU)
    pred = segment_case(
        [],
        network=bundle.network,
        inferer=bundle.inferer,
        postprocessing=bundle.postprocessing,
        device=CPU,
    )
    assert pred is None


def test_an_empty_prediction_is_on_the_grid_of_the_image() -> None:
    pred = empty_prediction(volume(image().numpy(), GRID))
    assert pred.shape == (1, *GRID.shape)
    assert pred.dtype == torch.uint8
    assert not pred.any()
    assert torch.equal(pred.affine, torch.from_numpy(GRID.affine))

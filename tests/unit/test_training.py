from __future__ import annotations

from pathlib import Path

import pytest
import torch

from renalseg.bundle import load_network
from renalseg.errors import ConfigError
from renalseg.training import export_weights


def test_exported_weights_are_half_precision(tmp_path: Path) -> None:
    network = torch.nn.BatchNorm3d(2)
    torch.save({"network": network.state_dict(), "trainer": {}}, tmp_path / "checkpoint.pt")
    path = export_weights(tmp_path, tmp_path / "bundle" / "models" / "model.pt")
    weights = torch.load(path, weights_only=True)
    assert weights["weight"].dtype == torch.float16
    assert weights["num_batches_tracked"].dtype == torch.int64


def test_exported_weights_fit_their_network(tmp_path: Path) -> None:
    network = torch.nn.Conv3d(1, 2, 1)
    torch.save({"network": network.state_dict()}, tmp_path / "checkpoint.pt")
    path = export_weights(tmp_path, tmp_path / "model.pt")
    loaded = load_network(torch.nn.Conv3d(1, 2, 1), path, torch.device("cpu"), "torch")
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), atol=1e-3, rtol=1e-3)


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path)):
        export_weights(tmp_path, tmp_path / "model.pt")

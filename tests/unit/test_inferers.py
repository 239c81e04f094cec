from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import Tensor

from renalseg.inference import inferers
from renalseg.inference.inferers import AutocastInferer, fast_dtype, training_dtype

X = torch.rand((1, 1, 4, 4, 4))
CPU = torch.device("cpu")


def types_seen(enabled: bool) -> tuple[torch.dtype, torch.dtype]:
    """Of the products in the network, and of the logits."""
    network = torch.nn.Conv3d(1, 2, 1)
    seen: list[torch.dtype] = []

    def watched(x: Tensor) -> Tensor:
        y: Tensor = network(x)
        seen.append(y.dtype)
        return y

    logits = AutocastInferer(SimpleInferer(), enabled)(X, watched)
    return seen[0], logits.dtype


def test_mixed_precision_gives_float32_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inferers, "fast_dtype", lambda device: torch.bfloat16)
    assert types_seen(enabled=True) == (torch.bfloat16, torch.float32)


def test_switched_off_all_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inferers, "fast_dtype", lambda device: torch.bfloat16)
    assert types_seen(enabled=False) == (torch.float32, torch.float32)


def test_a_gpu_multiplies_in_half_precision() -> None:
    assert fast_dtype(torch.device("cuda")) == torch.float16


@pytest.mark.parametrize(
    ("units", "dtype"),
    [
        ({"avx2": True}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_a_cpu_uses_bfloat16_if_it_has_it(
    monkeypatch: pytest.MonkeyPatch, units: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert fast_dtype(CPU) == dtype


@pytest.mark.parametrize(
    ("has_bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float16)]
)
def test_gpus_train_in_bfloat16_where_they_have_it(
    has_bfloat16: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert training_dtype(torch.device("cuda")) == dtype


def test_processors_train_in_the_type_that_they_infer_in() -> None:
    assert training_dtype(CPU) == fast_dtype(CPU)

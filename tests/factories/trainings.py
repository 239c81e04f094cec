"""A training of one weight, quick and the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Generator

from renalseg.synthesis.patient import CaseStream
from renalseg.training import make_loader, make_trainer
from renalseg.training.validation import FixedBatches, Validation


class Cubes(CaseStream[dict[str, Any]]):
    """Cubes of noise, whose brighter half is labeled."""

    def draw(self, generator: Generator) -> dict[str, Any]:
        """One cube."""
        image = torch.randn((1, 4, 4, 4), generator=generator)
        return {"image": image, "label": (image > 0.5).float(), "case": 0}


def train_cubes(out: Path, epochs: int = 4) -> Any:
    """Trains for some epochs of two iterations, or goes on; gives the trainer."""
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 1, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    trainer = make_trainer(
        network=network,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 - i / 10),
        loss=torch.nn.functional.binary_cross_entropy_with_logits,
        data=make_loader(Cubes([]), batch_size=2, workers=0),
        max_epochs=epochs,
        epoch_length=2,
        device=torch.device("cpu"),
        output_dir=out,
        validation=Validation(FixedBatches(Cubes([], seed=1), 2, 2), ["kidney"], every=1),
        ema=0.5,
        inference={"window": [0, 1]},
        source="kits19",
    )
    trainer.run()
    return trainer

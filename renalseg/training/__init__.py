"""Training, as the bundles' train.yaml sets it up: trainer, losses, schedules and handlers."""

from renalseg.training.trainer import export_weights, make_loader, make_trainer

__all__ = ["export_weights", "make_loader", "make_trainer"]

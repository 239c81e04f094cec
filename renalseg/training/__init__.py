"""Training for the bundles' train.yaml: trainer, losses, schedules and handlers."""

from renalseg.training.checkpoints import export_weights
from renalseg.training.trainer import make_loader, make_trainer
from renalseg.training.validation import make_validation
from renalseg.training.whole_cts import make_whole_cts

__all__ = ["export_weights", "make_loader", "make_trainer", "make_validation", "make_whole_cts"]

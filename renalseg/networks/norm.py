"""How networks are told which norm to use."""

from __future__ import annotations

from typing import Any

Norm = str | tuple[str, dict[str, Any]]  # MONAI's name of a norm layer, with options or without

"""Numbers of methods for tests: the shared ones, and limits that let anything be a kidney."""

from __future__ import annotations

from dataclasses import fields, replace

from renalseg.inference.methods import default_numbers
from renalseg.labels import ContrastPhase
from renalseg.limits import KidneyRange

_ANY = KidneyRange(**{field.name: (-1e9, 1e9) for field in fields(KidneyRange)})
_NUMBERS = default_numbers()
_LIMITS = _NUMBERS.plausibility

SIDES = _NUMBERS.sides
"""How methods that do not say otherwise tell left from right."""

ANYTHING = replace(
    _NUMBERS,
    plausibility=replace(
        _LIMITS,
        possible=_ANY,
        usual=_ANY,
        tumor=replace(
            _LIMITS.tumor,
            phases=tuple(phase.value for phase in ContrastPhase),
            least_kidney=0.0,
            large_share=2.0,
        ),
    ),
)
"""The numbers of a method with such limits."""

"""Choices of the environment that are on or off."""

from __future__ import annotations

import os

from renalseg.errors import ConfigError

_KNOWN = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def switch(name: str, value: str) -> bool:
    """What a text says that turns something on or off.

    Args:
        name: Of the choice, for the message.
        value: Such as "true", "No" or "1".

    Raises:
        ConfigError: It says neither.
    """
    try:
        return _KNOWN[value.strip().lower()]
    except KeyError:
        known = ", ".join(_KNOWN)
        raise ConfigError(f"Expected one of {known} for {name}, got {value!r}") from None


def switched_on(variable: str) -> bool:
    """Whether a variable of the environment turns something on; one that is empty does not.

    Raises:
        ConfigError: It says neither on nor off.
    """
    value = os.environ.get(variable, "")
    return switch(variable, value) if value.strip() else False

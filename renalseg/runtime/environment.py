"""Switches in the environment."""

from __future__ import annotations

import os

from renalseg.errors import ConfigError

_KNOWN = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def switch(name: str, value: str) -> bool:
    """Parses the text of a switch.

    Args:
        name: Name of the switch, for the message.
        value: Such as "true", "No" or "1".

    Raises:
        ConfigError: It means neither on nor off.
    """
    try:
        return _KNOWN[value.strip().lower()]
    except KeyError:
        known = ", ".join(_KNOWN)
        raise ConfigError(f"Expected one of {known} for {name}, got {value!r}") from None


def switched_on(variable: str) -> bool:
    """Returns whether an environment variable is on; an empty one is off.

    Raises:
        ConfigError: It means neither on nor off.
    """
    value = os.environ.get(variable, "")
    return switch(variable, value) if value.strip() else False

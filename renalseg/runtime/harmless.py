"""Escapes for external text, such as header values, before it is printed or stored."""

from __future__ import annotations

import unicodedata

# Line and paragraph separators, control characters (escape sequences start with one), format
# characters (they turn the direction of text, or hide it), and halves of surrogate pairs.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_BLANKS = "\t\n\v\f\r\x85\u2028\u2029"
_FORMULA = ("=", "+", "-", "@")  # starts a formula in a spreadsheet


def one_line(text: str) -> str:
    r"""Makes text safe to print: one line, without escape sequences or changes of direction.

    Args:
        text: Such as a message that quotes a header value or the name of a file.

    Returns:
        The text with blanks for line breaks and tabs, and escapes such as ``\x1b`` for other
        invisible characters. Text in any script is unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe, text))


def csv_cell(value: object) -> object:
    """Makes a value safe for a cell of a table that a spreadsheet may open.

    Args:
        value: Numbers, also as text, are unchanged.

    Returns:
        Text on one line. A quote precedes what a spreadsheet would interpret as a formula.
    """
    if not isinstance(value, str):
        return value
    text = one_line(value)
    # A spreadsheet skips leading blanks; one that was a tab is a sign of a formula as well.
    if text.lstrip().startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _safe(character: str) -> str:
    if character in _BLANKS:
        return " "
    if unicodedata.category(character) in _UNSAFE:
        return character.encode("unicode_escape").decode("ascii")
    return character


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

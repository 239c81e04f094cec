"""Text in any script for pages and pictures: fonts, widths and line breaks.

The fonts come with matplotlib and with RenalSeg, never from the system: a result is the same on
every machine. DejaVu Sans has Latin, Greek, Cyrillic, Arabic, Hebrew, Armenian and Georgian, Droid
Sans Fallback has Chinese, Japanese and Korean. Matplotlib joins Arabic letters and orders what is
written from right to left.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import as_file, files
from itertools import groupby

import matplotlib as mpl
from matplotlib import font_manager, style
from matplotlib.ft2font import FT2Font

from renalseg.runtime.harmless import one_line

POINT = 25.4 / 72  # mm
_FAMILIES = ("DejaVu Sans", "Droid Sans Fallback")
_LEADING = 1.35  # from line to line, in sizes of the font
_MEASURED_AT = 100  # points
_HINTED = 1.02  # letters fitted to the pixels of a picture may be a little wider
_LEFT_TO_RIGHT = "\u200e"  # a line of the page begins on the left, whatever its first word is
_JOINERS = "\u200c\u200d"  # the only invisible characters that say how letters look


@contextmanager
def defaults() -> Iterator[None]:
    """Makes what is drawn independent of the user's own settings of matplotlib."""
    _add_font()
    with style.context("default"), mpl.rc_context():
        mpl.rcParams["font.family"] = list(_FAMILIES)
        mpl.rcParams["pdf.fonttype"] = 3  # glyphs as drawn: much quicker than a TrueType subset
        mpl.rcParams["text.parse_math"] = False  # what stands in a header is no formula
        yield


def leading(size: float) -> float:
    """The distance of two lines of a size in points, in mm."""
    return size * _LEADING * POINT


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line is at a size in points, in mm."""
    words = text.split(" ")
    width = sum(_width(word, bold) for word in words) + _width(" ", bold) * (len(words) - 1)
    return _HINTED * width / _MEASURED_AT * size * POINT


@lru_cache(4096)
def _width(word: str, bold: bool) -> float:
    """How wide a word is; a report has few, and lays each of them out many times."""
    font = _font(bold)
    font.set_size(_MEASURED_AT, 72)
    font.set_text(word)
    width, _ = font.get_width_height()
    return float(width) / 64


def wrap(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """Breaks a text into lines of at most `width` mm, between words where that is possible."""
    lines: list[str] = []
    line = ""
    for word in drawable(text).split():
        longer = f"{line} {word}" if line else word
        if width_of(longer, size, bold=bold) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = _pieces(word, width, size, bold)
        lines += full
    return [*lines, line] if line else lines


def drawable(text: str) -> str:
    """Gives a text that the fonts can draw: what they lack is named, never drawn as boxes."""
    text = text.removeprefix(_LEFT_TO_RIGHT)
    text = "".join(c if c in _JOINERS else one_line(c) for c in text)
    text = " ".join(text.split())
    known = _known()
    parts = []
    for script, letters in groupby(text, lambda c: None if ord(c) in known else _script(c)):
        run = "".join(letters)
        parts.append(run if script is None else f"[{len(run)} {script} letters: no font]")
    return (_LEFT_TO_RIGHT if any(map(_runs_left, text)) else "") + "".join(parts)


def _runs_left(char: str) -> bool:
    return unicodedata.bidirectional(char) in ("R", "AL")


def _pieces(word: str, width: float, size: float, bold: bool) -> list[str]:
    """Breaks a word that is too long for a line."""
    pieces, piece = [], ""
    for char in word:
        if piece and width_of(piece + char, size, bold=bold) > width:
            pieces.append(piece)
            piece = ""
        piece += char
    return [*pieces, piece]


def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").split()[0].capitalize()


@cache
def _add_font() -> None:
    """Makes the font of RenalSeg known to matplotlib; it has one weight, which stands for bold."""
    source = files("renalseg.report").joinpath("fonts/DroidSansFallback.ttf")
    with as_file(source) as path:
        font_manager.fontManager.addfont(path)
    entry = font_manager.fontManager.ttflist[-1]
    font_manager.fontManager.ttflist.append(replace(entry, weight=700))


@cache
def _known() -> frozenset[int]:
    """The characters that the fonts have."""
    _add_font()
    paths = (font_manager.findfont(family) for family in _FAMILIES)
    return frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())


@cache
def _font(bold: bool) -> FT2Font:
    _add_font()
    weight = "bold" if bold else "normal"
    wanted = (font_manager.FontProperties(family=name, weight=weight) for name in _FAMILIES)
    return font_manager.get_font([font_manager.findfont(each) for each in wanted])

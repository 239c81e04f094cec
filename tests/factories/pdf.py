"""What a PDF that the report wrote says, read without a PDF library."""

from __future__ import annotations

import re
import zlib

_STRING = re.compile(rb"\(((?:\\.|[^\\)])*)\)", re.DOTALL)
_SHOWN = re.compile(rb"\[((?:[^\]\\(]|\((?:\\.|[^\\)])*\))*)\]\s*TJ", re.DOTALL)


def count_pages(pdf: bytes) -> int:
    """Number of pages."""
    return len(re.findall(rb"/Type /Page\b", pdf))


def text_of(pdf: bytes) -> str:
    """The texts of the pages, a line each; letters that are drawn as one (fi, ff) are missing."""
    lines = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            content = zlib.decompress(stream)
        except zlib.error:
            continue  # a picture
        if content.startswith(b"/DeviceRGB"):  # as the content of a page begins
            for shown in _SHOWN.findall(content):
                parts = _STRING.findall(shown)
                text = re.sub(rb"\\([()\\])", rb"\1", b"".join(parts))
                lines.append(text.decode("latin-1"))
    return "\n".join(lines)

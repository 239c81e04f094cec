"""What a PDF that the report wrote says, as a reader would copy it."""

from __future__ import annotations

import io

from pypdf import PdfReader


def count_pages(pdf: bytes) -> int:
    """Number of pages."""
    return len(PdfReader(io.BytesIO(pdf)).pages)


def text_of(pdf: bytes) -> str:
    """The texts of the pages, line by line."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)

"""Available decoders of compressed pixels, and the size that a compressed stream declares."""

from __future__ import annotations

import struct

from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

OCCURRING = (
    *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless),
    *(JPEGLSNearLossless, JPEG2000Lossless, JPEG2000, RLELossless),
)
"""The compressed transfer syntaxes that CT comes in."""

# Spectral selection and full progression: pydicom has no decoder for them, but JPEG's reads them.
RETIRED = (UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55"))
_PACKAGES = {
    **dict.fromkeys(
        (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), "pylibjpeg-libjpeg"
    ),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000), "pylibjpeg-openjpeg"),
    RLELossless: "pylibjpeg-rle",
}
# Markers of a JPEG or JPEG-LS frame header (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2); C4, C8 and CC
# are others.
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment


def missing_decoders() -> tuple[str, ...]:
    """Say which compressed CT cannot be read here and what to install; opens no file."""
    return tuple(
        f"no decoder for {syntax.name}: CT in it would be refused; install {_PACKAGES[syntax]}"
        for syntax in OCCURRING
        if not can_decode(syntax)
    )


def can_decode(syntax: UID) -> bool:
    """Whether pixels in a transfer syntax can be decoded here."""
    from pydicom.pixels import get_decoder

    try:
        return get_decoder(as_decoded(syntax)).is_available
    except NotImplementedError:
        return False


def as_decoded(syntax: UID) -> UID:
    """Return the transfer syntax whose decoder reads this one, usually the same."""
    return JPEGExtended12Bit if syntax in RETIRED else syntax


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """Return the rows and columns that a compressed frame declares, without decoding it.

    A decoder allocates what the stream declares, whatever the file's header says.

    Args:
        stream: A JPEG, JPEG-LS or JPEG 2000 code stream, the latter also in a JP2 file.

    Returns:
        Rows and columns; None if the stream declares none, as in RLE.
    """
    if stream[:2] == b"\xff\xd8":
        return _jpeg_size(stream)
    start = 0 if stream[:4] == b"\xff\x4f\xff\x51" else stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    is_jp2 = stream[4:8] == b"jP  "
    if start < 0 or (start > 0 and not is_jp2) or len(stream) < start + 24:
        return None
    # SIZ: length, capabilities, then the far corner and the near one (ISO 15444-1, A.5.1)
    x_far, y_far, x_near, y_near = struct.unpack(">4I", stream[start + 8 : start + 24])
    return y_far - y_near, x_far - x_near


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _FRAME_HEADERS:
            rows, columns = struct.unpack(">HH", stream[at + 5 : at + 9])
            return rows, columns
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None

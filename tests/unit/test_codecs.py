from __future__ import annotations

import struct

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from renalseg.dicom.read import codecs
from renalseg.dicom.read.codecs import OCCURRING, can_decode, missing_decoders, stream_size

SIZ = struct.pack(">HHHIIII", 0xFF51, 47, 0, 700, 500, 20, 10)
J2K = b"\xff\x4f" + SIZ + bytes(40)


def jpeg(marker: int, before: bytes = b"") -> bytes:
    return b"\xff\xd8" + before + bytes([0xFF, marker, 0, 11, 12]) + struct.pack(">HH", 300, 200)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC3, 0xF7])
def test_size_of_a_jpeg_or_jpeg_ls_stream(marker: int) -> None:
    assert stream_size(jpeg(marker) + bytes(9)) == (300, 200)


def test_segments_before_the_frame_header_are_passed_over() -> None:
    tables = b"\xff\xc4\x00\x04\xff\xc0" + b"\xff\xff\xe0\x00\x03\xff"
    assert stream_size(jpeg(0xC3, tables) + bytes(9)) == (300, 200)


def test_size_of_a_jpeg_2000_stream_is_that_of_its_area() -> None:
    assert stream_size(J2K) == (490, 680)


def test_size_of_a_jp2_file() -> None:
    assert stream_size(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60) + J2K) == (490, 680)


@pytest.mark.parametrize("stream", [b"", bytes(64), b"\xff\xd8", b"\xff\xd8abc" * 9, J2K[:12]])
def test_what_declares_no_size_has_none(stream: bytes) -> None:
    assert stream_size(stream) is None


def test_all_compressed_ct_can_be_decoded_with_the_requirements() -> None:
    assert missing_decoders() == ()
    assert can_decode(ExplicitVRLittleEndian)


def test_a_missing_decoder_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "can_decode", lambda syntax: syntax != OCCURRING[-1])
    (message,) = missing_decoders()
    assert message.startswith("no decoder for RLE Lossless")
    assert "pylibjpeg-rle" in message

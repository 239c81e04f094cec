"""DICOM files as they should not be, changed as bytes, as no library would write them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from hypothesis import strategies as st

PREAMBLE = 128 + len(b"DICM")
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")
PIXELS = 0x7FE00010

# What the reader and the writers depend on.
TAGS = (
    *(0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080020, 0x00080030, 0x00080060),
    *(0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x00180050, 0x00185100, 0x0020000D),
    *(0x0020000E, 0x00200013, 0x00200032, 0x00200037, 0x00200052, 0x00280002, 0x00280004),
    *(0x00280008, 0x00280010, 0x00280011, 0x00280030, 0x00280100, 0x00280101, 0x00280102),
    *(0x00280103, 0x00280120, 0x00281052, 0x00281053, 0x00281054, PIXELS, 0x00020010),
    *(0x00020000, 0x00020002, 0x00080050, 0x00080070, 0x00080090, 0x00200010, 0x00201040),
)
VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB"),
    *(b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT"),
    *(b"??", b"\0\0"),
)
TEXTS = (
    *(b"", b" ", b"0", b"-1", b"1", b"nan", b"inf", b"-inf", b"1e308", b"-1e308", b"1e-320"),
    *(b"99999999999999999999", b"abc", b"1,5", b"0x10", b"\\", b"\\\\", b"1\\2", b"1\\2\\3"),
    *(b"1\\0\\0\\0\\1\\0", b"0\\0\\0\\0\\0\\0", b"nan\\nan\\nan", b"1e200\\1e200\\1e200"),
    *(b"1\\0\\0\\1\\0\\0", b"0.8\\0", b"-0.8\\-0.8", b"1e-9\\1e-9", b"1e9\\1e9", b"\xff\xfe\x80"),
    *(b"A" * 70, b"9" * 300, b"DOE^JOHN", b"99999999", b"20201399", b"1.2..3", b"1.2.840.0.01"),
    *(b"ISO_IR 192", b"ISO 2022 IR 87", b"NONE", b"\x1b$B", b"RGB", b"LOCALIZER", b"MR"),
    *(b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.4.50"),
    *(b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.5"),
    *(b"1.2.840.10008.5.1.4.1.1.2.1", b"\0\0", b"\xff\xff", b"\0\x80", b"\x01\0\x02\0"),
)


@dataclass(frozen=True, repr=False)
class Element:
    """One data element of a file in explicit VR little endian, as bytes."""

    tag: int
    vr: bytes
    value: bytes
    length: int | None = None  # another one than the value has

    def encoded(self) -> bytes:
        head = struct.pack("<HH", self.tag >> 16, self.tag & 0xFFFF) + self.vr
        size = len(self.value) if self.length is None else self.length
        if self.vr in _LONG:
            return head + struct.pack("<HI", 0, size & 0xFFFFFFFF) + self.value
        return head + struct.pack("<H", size & 0xFFFF) + self.value


def parse(content: bytes) -> list[Element]:
    """The elements of a file that `write_ct_series` wrote."""
    elements, at = [], PREAMBLE
    while at < len(content):
        group, element = struct.unpack_from("<HH", content, at)
        vr = content[at + 4 : at + 6]
        if vr in _LONG:
            (size,), begin = struct.unpack_from("<I", content, at + 8), at + 12
        else:
            (size,), begin = struct.unpack_from("<H", content, at + 6), at + 8
        elements.append(Element(group << 16 | element, vr, content[begin : begin + size]))
        at = begin + size
    return elements


def build(elements: list[Element]) -> bytes:
    """A file of elements."""
    return b"\0" * 128 + b"DICM" + b"".join(element.encoded() for element in elements)


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)


values = st.one_of(st.sampled_from(TEXTS), st.binary(max_size=40)).map(_even)


@st.composite
def changes(draw: st.DrawFn, elements: list[Element]) -> list[Element]:
    """Elements of which one is changed."""
    changed = list(elements)
    tag = draw(st.sampled_from(TAGS))
    index = next((i for i, element in enumerate(changed) if element.tag == tag), None)
    if index is None:
        vr = draw(st.sampled_from(VRS))
        new = Element(tag, vr, draw(values))
        return sorted([*changed, new], key=lambda element: element.tag)
    kind = draw(
        st.sampled_from(
            ["value", "value", "value", "delete", "vr", "length", "twice", "cut", "flip"]
        )
    )
    old = changed[index]
    if kind == "value":
        changed[index] = replace(old, value=draw(values))
    elif kind == "delete":
        del changed[index]
    elif kind == "vr":
        changed[index] = replace(old, vr=draw(st.sampled_from(VRS)))
    elif kind == "length":
        sizes = (0, 1, len(old.value) - 2, len(old.value) + 2, 0xFFFE, 0x7FFFFFFF, 0xFFFFFFFF)
        changed[index] = replace(old, length=max(0, draw(st.sampled_from(sizes))))
    elif kind == "twice":
        changed.insert(draw(st.integers(0, len(changed))), replace(old, value=draw(values)))
    elif kind == "cut":
        changed[index] = replace(old, value=old.value[: draw(st.integers(0, len(old.value)))])
    else:
        changed[index] = replace(old, value=old.value[::-1])
    return changed


@st.composite
def hostile_series(draw: st.DrawFn, files: list[bytes]) -> list[bytes]:
    """Files of a series of which one, or all, have up to three changed elements."""
    chosen = draw(
        st.one_of(st.integers(0, len(files) - 1).map(lambda i: [i]), st.just(range(len(files))))
    )
    count = draw(st.integers(1, 3))
    if len(chosen) == 1:
        elements = parse(files[chosen[0]])
        for _ in range(count):
            elements = draw(changes(elements))
        return [build(elements) if i == chosen[0] else file for i, file in enumerate(files)]
    # the same change in all, or it would be refused as a mixture before anything else is looked at
    parsed = [parse(file) for file in files]
    for _ in range(count):
        before = parsed[0]
        after = draw(changes(before))
        parsed = [_likewise(before, after, other) for other in parsed]
    return [build(elements) for elements in parsed]


def _likewise(before: list[Element], after: list[Element], other: list[Element]) -> list[Element]:
    """Other elements, changed as `before` was to `after`."""
    old = {element.tag: element for element in before}
    own = {element.tag: element for element in other}
    return [own.get(e.tag, e) if old.get(e.tag) == e else e for e in after]


@st.composite
def damaged_series(draw: st.DrawFn, files: list[bytes]) -> list[bytes]:
    """Files of a series of which one is cut off, has flipped bits, or bytes that are swapped."""
    index = draw(st.integers(0, len(files) - 1))
    content = bytearray(files[index])
    kind = draw(st.sampled_from(["cut", "flip", "flip", "swap", "insert"]))
    # nearly all of what can go wrong is in the header
    places = st.one_of(st.integers(0, 1400), st.integers(0, len(content) - 2))
    if kind == "cut":
        del content[draw(places) :]
    elif kind == "insert":
        at = draw(places)
        content[at:at] = draw(st.binary(min_size=1, max_size=16))
    else:
        for at in draw(st.lists(places, min_size=1, max_size=8)):
            at = min(at, len(content) - 2)
            if kind == "flip":
                content[at] ^= 1 << draw(st.integers(0, 7))
            else:
                content[at], content[at + 1] = content[at + 1], content[at]
    return [bytes(content) if i == index else file for i, file in enumerate(files)]

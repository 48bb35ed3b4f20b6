import random
import tracemalloc
from contextlib import suppress
from struct import pack

import pytest

from services.archive.frames import LONG_VRS, SHORT_VRS
from services.archive.index_attributes import (
    SEQUENCE_CAP,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    VALUE_CAP,
)
from services.archive.invalid_data_set import (
    DataSetTooDeep,
    InvalidDataSet,
    TooManyElements,
    TruncatedDataSet,
)
from services.archive.scanner import HeaderScanner

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"

UNDEFINED = 0xFFFFFFFF
PATIENT_NAME = 0x00100010
ROWS = 0x00280010
REQUEST_ATTRIBUTES = 0x00400275
CONTENT_SEQUENCE = 0x0040A730
OVERLAY_COMMENTS = 0x60004000  # no index attribute
PIXEL_DATA = 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def tag_bytes(tag, order="<"):
    return pack(f"{order}HH", tag >> 16, tag & 0xFFFF)


def explicit(tag, vr, value=b"", *, length=None, order="<"):
    length = len(value) if length is None else length
    form = f"{order}2s2xI" if vr in LONG_VRS else f"{order}2sH"
    return tag_bytes(tag, order) + pack(form, vr.encode(), length) + value


def implicit(tag, value=b"", *, length=None, order="<"):
    return tag_bytes(tag, order) + pack(f"{order}I", len(value) if length is None else length) + value


def item(content=b"", *, defined=True, order="<"):
    if defined:
        return implicit(ITEM, content, order=order)
    return implicit(ITEM, content, length=UNDEFINED, order=order) + implicit(ITEM_END, order=order)


def until_delimiter(header_and_items, *, order="<"):
    return header_and_items + implicit(SEQUENCE_END, order=order)


def scan(data, transfer_syntax=EXPLICIT, *, chunk=None, **limits):
    scanner = HeaderScanner(transfer_syntax, **limits)
    view = memoryview(data)
    for start in range(0, len(data), chunk or len(data) or 1):
        scanner.feed(view[start : start + (chunk or len(data))])
    scanner.finish()
    return scanner


NAME = explicit(PATIENT_NAME, "PN", b"Doe^Jane")


class TestValues:
    def test_nothing_fed_is_an_empty_data_set(self):
        assert scan(b"").values == {}

    def test_values_are_kept_as_they_stand(self):
        data = (
            explicit(0x00080005, "CS", b"ISO_IR 100")
            + explicit(0x00080050, "SH")
            + NAME
            + explicit(ROWS, "US", b"\x00\x02")
            + explicit(OVERLAY_COMMENTS, "LT", b"not wanted")
        )
        assert scan(data).values == {
            0x00080005: b"ISO_IR 100",
            0x00080050: b"",
            PATIENT_NAME: b"Doe^Jane",
            ROWS: b"\x00\x02",
        }

    def test_implicit_vr(self):
        data = implicit(PATIENT_NAME, b"Doe^Jane") + implicit(ROWS, b"\x00\x02")
        assert scan(data, IMPLICIT).values == {PATIENT_NAME: b"Doe^Jane", ROWS: b"\x00\x02"}

    def test_big_endian(self):
        data = explicit(PATIENT_NAME, "PN", b"Doe^Jane", order=">") + explicit(
            ROWS, "US", b"\x02\x00", order=">"
        )
        assert scan(data, BIG_ENDIAN).values == {PATIENT_NAME: b"Doe^Jane", ROWS: b"\x02\x00"}

    @pytest.mark.parametrize("vr", SHORT_VRS + tuple(vr for vr in LONG_VRS if vr != "SQ"))
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_every_vr_is_passed_by_its_own_form(self, vr, order):
        data = explicit(0x00090010, vr, b"\x01\x02\x03\x04", order=order) + explicit(
            PATIENT_NAME, "PN", b"A^B ", order=order
        )
        syntax = EXPLICIT if order == "<" else BIG_ENDIAN
        assert scan(data, syntax).values == {PATIENT_NAME: b"A^B "}
        assert scan(data, syntax, chunk=1).values == {PATIENT_NAME: b"A^B "}

    def test_a_value_of_vr_un_is_kept(self):
        assert scan(explicit(PATIENT_NAME, "UN", b"Doe^Jane")).values == {PATIENT_NAME: b"Doe^Jane"}

    def test_a_vr_nobody_knows_has_a_16_bit_length(self):
        data = explicit(0x00090010, "ZZ", b"1234") + explicit(PATIENT_NAME, "QX", b"A^B ")
        assert scan(data).values == {PATIENT_NAME: b"A^B "}

    def test_an_element_without_vr_between_others(self):
        data = (
            explicit(0x00080005, "CS", b"ISO_IR 6")
            + implicit(PATIENT_NAME, b"A^B ")
            + explicit(ROWS, "US", b"\1\0")
        )
        assert scan(data).values == {0x00080005: b"ISO_IR 6", PATIENT_NAME: b"A^B ", ROWS: b"\1\0"}

    def test_nested_values_are_not_those_of_the_data_set(self):
        nested = item(NAME + explicit(SOP_INSTANCE_UID, "UI", b"1.9"))
        data = explicit(SOP_INSTANCE_UID, "UI", b"1.2\0") + explicit(CONTENT_SEQUENCE, "SQ", nested)
        assert scan(data).values == {SOP_INSTANCE_UID: b"1.2\0"}

    def test_order_is_not_asked_for(self):
        assert scan(explicit(ROWS, "US", b"\1\0") + NAME).values == {ROWS: b"\1\0", PATIENT_NAME: b"Doe^Jane"}

    def test_of_an_attribute_met_twice_the_last_value_stands(self):
        assert scan(NAME + explicit(PATIENT_NAME, "PN", b"B^C ")).values == {PATIENT_NAME: b"B^C "}
        over_cap = explicit(PATIENT_NAME, "PN", bytes(VALUE_CAP + 2))
        assert scan(NAME + over_cap).values == {}
        assert scan(NAME + over_cap, chunk=100).values == {}
        assert scan(NAME + explicit(PATIENT_NAME, "SQ", item())).values == {}

    @pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
    @pytest.mark.parametrize("chunk", [None, 1, 1000])
    def test_values_up_to_the_cap(self, syntax, chunk):
        def comments(length):
            value = b"x" * length
            return explicit(0x00104000, "LT", value) if syntax == EXPLICIT else implicit(0x00104000, value)

        assert len(scan(comments(VALUE_CAP), syntax, chunk=chunk).values[0x00104000]) == VALUE_CAP
        assert scan(comments(VALUE_CAP + 1), syntax, chunk=chunk).values == {}

    def test_uid_drops_the_padding(self):
        data = explicit(SOP_CLASS_UID, "UI", b"1.2.3\0") + explicit(SOP_INSTANCE_UID, "UI", b"1.2.4 ")
        scanner = scan(data)
        assert scanner.uid(SOP_CLASS_UID) == "1.2.3"
        assert scanner.uid(SOP_INSTANCE_UID) == "1.2.4"
        assert scanner.uid(STUDY_INSTANCE_UID) == ""

    @pytest.mark.parametrize(
        "tag", [SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID]
    )
    @pytest.mark.parametrize("chunk", [None, 1])
    def test_what_an_instance_is_filed_under_stands_once(self, tag, chunk):
        once = explicit(tag, "UI", b"1.2\0")
        for second in (
            once,
            explicit(tag, "UI", b""),
            explicit(tag, "UN", b"1.3\0"),
            explicit(tag, "SQ", item()),
        ):
            with pytest.raises(InvalidDataSet, match=f"{tag >> 16:04X},{tag & 0xFFFF:04X}"):
                scan(once + second, chunk=chunk)

    @pytest.mark.parametrize("chunk", [None, 1])
    def test_a_uid_of_thousands_of_bytes_is_none(self, chunk):
        with pytest.raises(InvalidDataSet, match=r"0020,000D.*no UID"):
            scan(explicit(STUDY_INSTANCE_UID, "UI", b"1" * (VALUE_CAP + 2)), chunk=chunk)

    def test_nothing_of_a_chunk_is_held(self):
        request = explicit(REQUEST_ATTRIBUTES, "SQ", item(explicit(0x00400009, "SH", b"SPS1")))
        data = explicit(SOP_INSTANCE_UID, "UI", b"1.2\0") + NAME + request
        scanner = HeaderScanner(EXPLICIT)
        memory = bytearray()
        for start in range(0, len(data), 5):
            memory[:] = data[start : start + 5]
            view = memoryview(memory)
            scanner.feed(view)
            view.release()
            memory[:] = bytes(len(memory))
            memory.clear()  # fails while anybody holds a view
        scanner.finish()
        assert scanner.values == scan(data).values
        assert scanner.values[PATIENT_NAME] == b"Doe^Jane"

    def test_bytes_do_as_well_as_a_memoryview(self):
        scanner = HeaderScanner(EXPLICIT)
        for byte in NAME:
            scanner.feed(bytes([byte]))
        scanner.finish()
        assert scanner.values == {PATIENT_NAME: b"Doe^Jane"}


class TestSequences:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("items_defined", [True, False])
    @pytest.mark.parametrize("defined", [True, False])
    @pytest.mark.parametrize("chunk", [None, 1, 7])
    def test_the_items_of_a_wanted_sequence_are_kept(self, order, items_defined, defined, chunk):
        content = item(explicit(0x00400009, "SH", b"SPS1", order=order), defined=items_defined, order=order)
        content += item(defined=items_defined, order=order)
        if defined:
            data = explicit(REQUEST_ATTRIBUTES, "SQ", content, order=order)
        else:
            header = explicit(REQUEST_ATTRIBUTES, "SQ", content, length=UNDEFINED, order=order)
            data = until_delimiter(header, order=order)
        data += explicit(0x0040A491, "CS", b"COMPLETE", order=order)
        syntax = EXPLICIT if order == "<" else BIG_ENDIAN
        assert scan(data, syntax, chunk=chunk).values == {
            REQUEST_ATTRIBUTES: content,
            0x0040A491: b"COMPLETE",
        }

    @pytest.mark.parametrize("chunk", [None, 1, 7])
    def test_in_implicit_vr(self, chunk):
        content = item(implicit(0x00400009, b"SPS1")) + item()
        for data in (
            implicit(REQUEST_ATTRIBUTES, content),
            until_delimiter(implicit(REQUEST_ATTRIBUTES, content, length=UNDEFINED)),
        ):
            assert scan(data, IMPLICIT, chunk=chunk).values == {REQUEST_ATTRIBUTES: content}

    @pytest.mark.parametrize("chunk", [None, 1, 1000])
    @pytest.mark.parametrize("defined", [True, False])
    def test_up_to_the_cap(self, chunk, defined):
        def sequence(length):
            content = item(explicit(OVERLAY_COMMENTS, "UT", bytes(length - 20)))
            if defined:
                return explicit(REQUEST_ATTRIBUTES, "SQ", content)
            return until_delimiter(explicit(REQUEST_ATTRIBUTES, "SQ", content, length=UNDEFINED))

        kept = scan(sequence(SEQUENCE_CAP), chunk=chunk).values
        assert len(kept[REQUEST_ATTRIBUTES]) == SEQUENCE_CAP
        assert scan(sequence(SEQUENCE_CAP + 2), chunk=chunk).values == {}

    def test_an_empty_sequence_is_an_empty_value(self):
        assert scan(explicit(REQUEST_ATTRIBUTES, "SQ")).values == {REQUEST_ATTRIBUTES: b""}
        assert scan(implicit(REQUEST_ATTRIBUTES), IMPLICIT).values == {REQUEST_ATTRIBUTES: b""}
        data = until_delimiter(explicit(REQUEST_ATTRIBUTES, "SQ", length=UNDEFINED))
        assert scan(data).values == {REQUEST_ATTRIBUTES: b""}

    def test_of_vr_un_with_a_length_it_is_kept_unseen(self):
        content = item(implicit(0x00400009, b"SPS1"))
        assert scan(explicit(REQUEST_ATTRIBUTES, "UN", content)).values == {REQUEST_ATTRIBUTES: content}

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("chunk", [None, 1])
    def test_un_of_undefined_length_is_implicit_little_endian_inside(self, order, chunk):
        deeper = until_delimiter(implicit(0x00091001, item(implicit(0x00091002, b"ABCD")), length=UNDEFINED))
        content = item(implicit(0x00091003, b"x" * 300) + deeper, defined=False)
        unknown = until_delimiter(explicit(0x00091000, "UN", content, length=UNDEFINED, order=order))
        data = unknown + explicit(PATIENT_NAME, "PN", b"A^B ", order=order)
        syntax = EXPLICIT if order == "<" else BIG_ENDIAN
        assert scan(data, syntax, chunk=chunk).values == {PATIENT_NAME: b"A^B "}

    def test_un_of_undefined_length_with_explicit_items_as_some_write_it(self):
        content = item(explicit(0x00091002, "LO", b"ABCD"))
        data = until_delimiter(explicit(0x00091000, "UN", content, length=UNDEFINED)) + NAME
        assert scan(data).values == {PATIENT_NAME: b"Doe^Jane"}

    def test_implicit_items_in_an_explicit_sequence_as_some_write_them(self):
        content = item(implicit(0x00400009, b"SPS1") + implicit(CONTENT_SEQUENCE, item(implicit(0x00400007))))
        data = explicit(REQUEST_ATTRIBUTES, "SQ", content) + explicit(0x0040A491, "CS", b"COMPLETE")
        assert scan(data).values == {REQUEST_ATTRIBUTES: content, 0x0040A491: b"COMPLETE"}

    def test_an_implicit_value_where_the_dictionary_says_sequence_may_be_something_else(self):
        data = implicit(CONTENT_SEQUENCE, b"no items at all") + implicit(0x0040A491, b"COMPLETE")
        assert scan(data, IMPLICIT).values == {0x0040A491: b"COMPLETE"}
        assert scan(implicit(REQUEST_ATTRIBUTES, b"1234"), IMPLICIT).values == {}

    def test_a_private_sequence_of_undefined_length(self):
        content = item(implicit(0x00291001, b"1"), defined=False)
        data = until_delimiter(implicit(0x00291000, content, length=UNDEFINED)) + implicit(0x00400253, b"P1")
        assert scan(data, IMPLICIT).values == {0x00400253: b"P1"}


class TestEncapsulated:
    def pixels(self, *fragments, vr="OB"):
        header = explicit(PIXEL_DATA, vr, length=UNDEFINED)
        return until_delimiter(header + b"".join(implicit(ITEM, fragment) for fragment in fragments))

    @pytest.mark.parametrize("chunk", [None, 1, 5])
    @pytest.mark.parametrize("vr", ["OB", "OW", "UN"])
    def test_fragments_are_not_looked_into(self, chunk, vr):
        deceptive = implicit(SEQUENCE_END) + implicit(ITEM_END) + b"\xff\xd9"
        data = NAME + self.pixels(b"", deceptive, b"\xff\xd8", vr=vr) + explicit(0xFFFCFFFC, "OB", bytes(4))
        assert scan(data, JPEG, chunk=chunk).values == {PATIENT_NAME: b"Doe^Jane"}

    def test_in_implicit_vr(self):
        data = until_delimiter(implicit(PIXEL_DATA, length=UNDEFINED) + implicit(ITEM, b"\xff\xd8"))
        assert scan(data, IMPLICIT).values == {}

    def test_in_an_icon(self):
        icon = explicit(0x00880200, "SQ", item(self.pixels(b"", b"abcd")))
        assert scan(icon + explicit(OVERLAY_COMMENTS, "LT")).values == {}

    def test_fragments_do_not_count_as_elements(self):
        assert scan(self.pixels(*[b""] * 200), max_elements=2).values == {}

    @pytest.mark.parametrize(
        "inside",
        [
            implicit(ITEM, length=UNDEFINED) + implicit(ITEM_END),
            implicit(ITEM_END),
            NAME,
            bytes(8),
        ],
    )
    def test_anything_else_between_fragments(self, inside):
        data = until_delimiter(explicit(PIXEL_DATA, "OB", implicit(ITEM, b"ab") + inside, length=UNDEFINED))
        with pytest.raises(InvalidDataSet, match=r"fragments of \(7FE0,0010\)"):
            scan(data, JPEG)


class TestTransferSyntax:
    @pytest.mark.parametrize("syntax", [EXPLICIT, JPEG, "1.2.3.4.5"])
    def test_all_but_three_are_explicit_little_endian(self, syntax):
        scanner = scan(NAME, syntax)
        assert scanner.values == {PATIENT_NAME: b"Doe^Jane"}
        assert not scanner.mismatched

    @pytest.mark.parametrize("chunk", [None, 1])
    def test_another_encoding_than_announced_is_seen_and_scanned(self, chunk):
        scanner = scan(NAME, IMPLICIT, chunk=chunk)
        assert scanner.mismatched
        assert scanner.values == {PATIENT_NAME: b"Doe^Jane"}
        scanner = scan(implicit(PATIENT_NAME, b"Doe^Jane"), EXPLICIT, chunk=chunk)
        assert scanner.mismatched
        assert scanner.values == {PATIENT_NAME: b"Doe^Jane"}

    def test_a_deflated_data_set_is_left_to_the_fallback(self):
        scanner = scan(b"\xff" * 1000, "1.2.840.10008.1.2.1.99", chunk=10)
        assert scanner.needs_fallback
        assert scanner.values == {}
        assert not HeaderScanner(EXPLICIT).needs_fallback


class TestForbiddenGroups:
    @pytest.mark.parametrize("group", [0x0000, 0x0002, 0x0004, 0x0006])
    @pytest.mark.parametrize("before", [b"", NAME])
    @pytest.mark.parametrize("chunk", [None, 1])
    def test_at_the_top_level(self, group, before, chunk):
        with pytest.raises(InvalidDataSet, match=rf"\({group:04X},0010\)"):
            scan(before + explicit(group << 16 | 0x10, "UI", b"1.2\0"), chunk=chunk)
        with pytest.raises(InvalidDataSet, match=rf"\({group:04X},0010\)"):
            scan(implicit(group << 16 | 0x10, b"1.2\0"), IMPLICIT, chunk=chunk)

    def test_a_whole_part_10_file(self):
        with pytest.raises(InvalidDataSet, match="without preamble and File Meta Information"):
            scan(bytes(128) + b"DICM" + explicit(0x00020000, "UL", bytes(4)) + NAME)


TOP_LEVEL_ELEMENTS = {
    EXPLICIT: [
        explicit(0x00080005, "CS", b"ISO_IR 100"),
        explicit(0x00091000, "UN", b"1234"),
        NAME,
        explicit(REQUEST_ATTRIBUTES, "SQ", item(explicit(0x00400009, "SH", b"SPS1")) + item()),
        until_delimiter(
            explicit(
                CONTENT_SEQUENCE,
                "SQ",
                item(
                    until_delimiter(
                        explicit(CONTENT_SEQUENCE, "SQ", item(NAME, defined=False), length=UNDEFINED)
                    ),
                    defined=False,
                ),
                length=UNDEFINED,
            )
        ),
        until_delimiter(explicit(PIXEL_DATA, "OB", item() + item(b"\xff\xd8"), length=UNDEFINED)),
        explicit(0xFFFCFFFC, "OB", bytes(4)),
    ],
    IMPLICIT: [
        implicit(PATIENT_NAME, b"Doe^Jane"),
        implicit(REQUEST_ATTRIBUTES, item(implicit(0x00400009, b"SPS1")) + item(defined=False)),
        until_delimiter(
            implicit(CONTENT_SEQUENCE, item(implicit(0x00400009, b"SPS1"), defined=False), length=UNDEFINED)
        ),
        implicit(PIXEL_DATA, bytes(8)),
    ],
    BIG_ENDIAN: [
        explicit(PATIENT_NAME, "PN", b"Doe^Jane", order=">"),
        explicit(REQUEST_ATTRIBUTES, "SQ", item(order=">") + item(order=">", defined=False), order=">"),
        explicit(PIXEL_DATA, "OW", bytes(8), order=">"),
    ],
}


class TestTruncation:
    @pytest.mark.parametrize("syntax", TOP_LEVEL_ELEMENTS)
    @pytest.mark.parametrize("chunk", [None, 1, 11])
    def test_at_every_byte(self, syntax, chunk):
        elements = TOP_LEVEL_ELEMENTS[syntax]
        data = b"".join(elements)
        boundaries = {sum(map(len, elements[:count])) for count in range(len(elements) + 1)}
        for end in range(len(data) + 1):
            if end in boundaries:
                scan(data[:end], syntax, chunk=chunk)
            else:
                with pytest.raises(TruncatedDataSet):
                    scan(data[:end], syntax, chunk=chunk)

    def test_the_message_says_where(self):
        with pytest.raises(TruncatedDataSet, match=r"3 bytes before the end of \(7FE0,0010\)"):
            scan(NAME + explicit(PIXEL_DATA, "OW", bytes(5), length=8))

    def test_what_came_whole_is_there(self):
        scanner = HeaderScanner(EXPLICIT)
        scanner.feed(NAME + explicit(PIXEL_DATA, "OW", bytes(5), length=8))
        with pytest.raises(TruncatedDataSet):
            scanner.finish()
        assert scanner.values == {PATIENT_NAME: b"Doe^Jane"}


def nest(depth, *, vr, defined, tag=CONTENT_SEQUENCE):
    """A sequence in an item in a sequence ..., `depth` sequences in all."""
    data = b""
    for _ in range(depth):
        content = item(data, defined=defined)
        length = None if defined else UNDEFINED
        data = explicit(tag, vr, content, length=length) if vr else implicit(tag, content, length=length)
        if not defined:
            data = until_delimiter(data)
    return data


class TestLimits:
    # a UN value with a length is opaque (PS3.5 6.2.2), so that there is no such row
    @pytest.mark.parametrize(
        ("syntax", "vr", "defined"),
        [
            (EXPLICIT, "SQ", True),
            (EXPLICIT, "SQ", False),
            (EXPLICIT, "UN", False),
            (IMPLICIT, None, True),
            (IMPLICIT, None, False),
        ],
    )
    @pytest.mark.parametrize("depth", [10, 64, 65, 5000])
    def test_depth(self, syntax, vr, defined, depth):
        data = nest(depth, vr=vr, defined=defined)
        if depth <= 64:
            scan(data, syntax)
            scan(data, syntax, chunk=9)
            return
        with pytest.raises(DataSetTooDeep):
            scan(data, syntax)
        with pytest.raises(DataSetTooDeep):
            scan(data, syntax, chunk=9)

    def test_depth_where_implicit_vr_hides_it(self):
        scan(nest(5000, vr=None, defined=True, tag=0x00291010), IMPLICIT)

    def test_depth_is_what_is_open_at_once(self):
        scan(nest(3, vr="SQ", defined=True) * 50 + nest(3, vr="SQ", defined=False) * 50, max_depth=3)

    def test_depth_can_be_set(self):
        with pytest.raises(DataSetTooDeep):
            scan(nest(4, vr="SQ", defined=False), max_depth=3)

    @pytest.mark.parametrize("chunk", [None, 1])
    def test_number_of_elements(self, chunk):
        sequence = explicit(CONTENT_SEQUENCE, "SQ", item(NAME * 2) + item(NAME))
        data = NAME * 3 + sequence + explicit(0x00091000, "OB", bytes(4))
        scan(data, max_elements=3 + 1 + 2 + 3 + 1, chunk=chunk)
        with pytest.raises(TooManyElements):
            scan(data, max_elements=9, chunk=chunk)

    def test_number_of_elements_by_default(self):
        scan(implicit(0x00091001) * 1_000_000, IMPLICIT, chunk=65536)
        with pytest.raises(TooManyElements):
            scan(implicit(0x00091001) * 1_000_001, IMPLICIT, chunk=65536)

    def test_a_flood_of_empty_items_counts(self):
        with pytest.raises(TooManyElements):
            scan(
                until_delimiter(explicit(CONTENT_SEQUENCE, "SQ", item() * 101, length=UNDEFINED)),
                max_elements=100,
            )

    @pytest.mark.parametrize("tag", [PATIENT_NAME, PIXEL_DATA, REQUEST_ATTRIBUTES])
    @pytest.mark.parametrize("vr", ["UN", "OB", "UT", "SQ"])
    def test_nothing_is_allocated_by_a_declared_length(self, tag, vr):
        pixels = explicit(PIXEL_DATA, "OB", length=0xFFFFFE00)
        value = implicit(ITEM, pixels, length=0xFFFFFF00) if vr == "SQ" else b""
        header = explicit(tag, vr, value, length=0xFFFFFFFE)
        scanner = HeaderScanner(EXPLICIT)
        chunk = bytes(65536)
        tracemalloc.start()
        try:
            scanner.feed(header)
            for _ in range(64):
                scanner.feed(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < len(chunk)
        with pytest.raises(TruncatedDataSet):
            scanner.finish()


HOSTILE = {
    "item longer than its sequence": explicit(CONTENT_SEQUENCE, "SQ", implicit(ITEM, bytes(8), length=12))
    + NAME,
    "element longer than its item": explicit(
        CONTENT_SEQUENCE, "SQ", item(explicit(PATIENT_NAME, "PN", b"A^B ", length=6))
    )
    + NAME,
    "long element longer than its item": explicit(
        CONTENT_SEQUENCE, "SQ", item(explicit(PIXEL_DATA, "OB", length=0xFFFFFFFE))
    )
    + NAME,
    "sequence longer than its item": explicit(
        CONTENT_SEQUENCE, "SQ", item(explicit(CONTENT_SEQUENCE, "SQ", length=0xFFFFFFFE))
    )
    + NAME,
    "fragment longer than its item": explicit(
        CONTENT_SEQUENCE, "SQ", item(explicit(PIXEL_DATA, "OB", implicit(ITEM, length=99), length=UNDEFINED))
    )
    + NAME,
    "bytes left over in an item": explicit(CONTENT_SEQUENCE, "SQ", item(NAME + b"1234567")) + NAME,
    "bytes left over in a sequence": explicit(CONTENT_SEQUENCE, "SQ", item(NAME) + b"1234567") + NAME,
    "header cut by the end of its item": explicit(
        CONTENT_SEQUENCE, "SQ", item(explicit(OVERLAY_COMMENTS, "UT")[:9])
    )
    + NAME,
    "no item in a sequence": explicit(CONTENT_SEQUENCE, "SQ", NAME),
    "item delimitation for an item": explicit(CONTENT_SEQUENCE, "SQ", implicit(ITEM_END)),
    "delimiter in a sequence with a length": explicit(
        CONTENT_SEQUENCE, "SQ", item() + implicit(SEQUENCE_END)
    ),
    "delimiter in an item with a length": explicit(CONTENT_SEQUENCE, "SQ", item(NAME + implicit(ITEM_END))),
    "sequence delimitation in an item": explicit(
        CONTENT_SEQUENCE,
        "SQ",
        implicit(ITEM, NAME, length=UNDEFINED) + implicit(SEQUENCE_END),
        length=UNDEFINED,
    ),
    "item without delimiter in a sequence with a length": explicit(
        CONTENT_SEQUENCE, "SQ", implicit(ITEM, NAME, length=UNDEFINED)
    ),
    "sequence without delimiter in an item with a length": explicit(
        CONTENT_SEQUENCE, "SQ", item(explicit(CONTENT_SEQUENCE, "SQ", item(), length=UNDEFINED))
    ),
    "item at the top level": item(NAME),
    "item delimitation at the top level": NAME + implicit(ITEM_END) + NAME,
    "sequence delimitation at the top level": NAME + implicit(SEQUENCE_END),
    "value of undefined length without items": explicit(0x00091000, "OB", b"no items here", length=UNDEFINED),
}


class TestHostile:
    @pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
    @pytest.mark.parametrize("chunk", [None, 1, 13])
    def test_is_refused(self, data, chunk):
        with pytest.raises(InvalidDataSet) as raised:
            scan(data, chunk=chunk)
        assert not isinstance(raised.value, TruncatedDataSet)

    @pytest.mark.parametrize("byte", [0x00, 0x20, 0x41, 0x7F, 0x80, 0xFE, 0xFF])
    @pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
    def test_one_byte_repeated(self, byte, syntax):
        with pytest.raises(InvalidDataSet):
            scan(bytes([byte]) * 1001, syntax)

    @pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
    def test_cut_anywhere_and_damaged_it_raises_nothing_else(self, data):
        damage = random.Random(len(data))
        for end in range(len(data)):
            damaged = bytearray(data[:end])
            for _ in range(min(end, 2)):
                damaged[damage.randrange(end)] = damage.choice(b"\x00\x08\x10\x40\xdd\xe0\xfe\xff")
            for syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
                with suppress(InvalidDataSet):
                    scan(bytes(damaged), syntax)

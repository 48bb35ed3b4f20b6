"""A scan with a memory ends exactly as one without, whatever was scanned before it."""

import zlib
from io import BytesIO
from itertools import pairwise
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import _read_file_meta_info

from real_files import real_files
from services.archive.frames import LONG_VRS
from services.archive.index_attributes import VALUE_CAP
from services.archive.invalid_data_set import InvalidDataSet
from services.archive.layout import MAXIMUM_BYTES, MAXIMUM_SEGMENTS
from services.archive.layouts import MAXIMUM_LAYOUTS, LayoutMemory
from services.archive.scanner import HeaderScanner

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
CT = "1.2.840.10008.5.1.4.1.1.2"

UNDEFINED = 0xFFFFFFFF
PLAIN = {
    0x00080005: "CS", 0x00080008: "CS", 0x00080016: "UI", 0x00080018: "UI", 0x00080020: "DA", 0x00080060: "CS",
    0x00090010: "LO", 0x00091001: "DS", 0x00091002: "ZZ", 0x00100010: "PN", 0x00100020: "LO", 0x00180050: "DS",
    0x0020000D: "UI", 0x0020000E: "UI", 0x00200013: "IS", 0x00204000: "LT", 0x00280010: "US", 0x00280011: "US",
}  # fmt: skip
LONG = {0x00091010: "OB", 0x00091011: "UN", 0x00104000: "UN", 0x00191010: "UT", 0x7FE00010: "OW"}
SEQUENCES = [0x00081032, 0x00081140, 0x00091012, 0x00400275]


SHARED = LayoutMemory()  # of all real files, one kind for each transfer syntax


def header(tag, vr, length, syntax):
    order = ">" if syntax == BIG_ENDIAN else "<"
    start = pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT or vr is None:
        return start + pack(f"{order}I", length)
    if vr in LONG_VRS:
        return start + vr.encode() + bytes(2) + pack(f"{order}I", length)
    return start + vr.encode() + pack(f"{order}H", length)


def element(tag, content, syntax):
    """Encode an element; a sequence is a list of items, and whether it ends at a delimiter."""
    if isinstance(content, bytes):
        vr = PLAIN.get(tag) or LONG[tag]
        return header(tag, vr, len(content), syntax) + content
    items, delimited = content
    body = b"".join(
        header(0xFFFEE000, None, len(item), syntax) + item for item in map(encode_with(syntax), items)
    )
    if delimited:
        return header(tag, "SQ", UNDEFINED, syntax) + body + header(0xFFFEE0DD, None, 0, syntax)
    return header(tag, "SQ", len(body), syntax) + body


def encode_with(syntax):
    return lambda elements: b"".join(element(tag, content, syntax) for tag, content in elements)


def outcome(data, syntax, cuts=(), recall=None, **limits):
    """Everything that can be seen of a scan."""
    scanner = HeaderScanner(syntax, recall=recall, **limits)
    view = memoryview(data)
    error = None
    try:
        for start, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
            scanner.feed(view[start:end])
        scanner.finish()
    except InvalidDataSet as raised:
        return type(raised), str(raised)
    return scanner.values, scanner.mismatched, scanner._elements, scanner._next, scanner._fed, error


values = st.builds(
    lambda pattern, count: pattern * count,
    st.sampled_from([b"12", b"\xfe\xff", b"\x00\x00", b"SQ", b"\x08\x00\x05\x00CS\x02\x00"]),
    st.sampled_from([0, 1, 2, 5, 17, 70]),
)
contents = st.tuples(st.lists(st.lists(st.tuples(st.sampled_from(sorted(PLAIN)), values), max_size=2), max_size=2),
                     st.booleans())  # fmt: skip


def an_element(tag):
    return st.tuples(st.just(tag), contents if tag in SEQUENCES else values)


one = st.sampled_from(sorted([*PLAIN, *LONG, *SEQUENCES])).flatmap(an_element)
data_sets = st.tuples(
    *(st.none() | an_element(tag) for tag in sorted(LONG) + SEQUENCES),
    *(an_element(tag) for tag in sorted(PLAIN)),
).map(lambda elements: sorted(filter(None, elements), key=lambda found: found[0]))

edits = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 30), one),
        st.tuples(st.just("value"), st.integers(0, 30), values),
        st.tuples(st.just("remove"), st.integers(0, 30), st.none()),
        st.tuples(st.just("again"), st.integers(0, 30), st.none()),
        st.tuples(st.just("cut"), st.integers(0, 1500), st.none()),
        st.tuples(
            st.just("corrupt"), st.integers(0, 1500), st.sampled_from([0, 1, 8, 0x51, 0x53, 0x55, 0xFF])
        ),
    ),
    max_size=4,
)


def edited(elements, changes, syntax):
    elements = list(elements)
    for change, place, what in changes:
        place %= len(elements) + 1
        if change == "insert":
            elements.insert(place, what)
        elif place == len(elements):
            continue
        elif change == "value" and isinstance(elements[place][1], bytes):
            elements[place] = (elements[place][0], what)
        elif change == "remove":
            del elements[place]
        elif change == "again":
            elements.insert(place, elements[place])
    data = bytearray(encode_with(syntax)(elements))
    for change, place, what in changes:
        if change == "cut":
            del data[place:]
        elif change == "corrupt" and place < len(data):
            data[place] = what
    return bytes(data)


@settings(max_examples=250, deadline=None)
@given(
    elements=data_sets,
    history=st.lists(st.tuples(edits, st.lists(st.integers(0, 1500), max_size=3)), min_size=1, max_size=9),
    syntax=st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]),
    written_as=st.sampled_from([None, None, None, EXPLICIT, IMPLICIT]),
    max_elements=st.sampled_from([1_000_000, 1_000_000, 10, 25, 150]),
)
def test_related_data_sets_scan_as_without_a_memory(elements, history, syntax, written_as, max_elements):
    memory = LayoutMemory()
    for changes, cuts in [([], []), ([], []), *history, ([], [])]:
        data = edited(elements, changes, written_as or syntax)
        expected = outcome(data, syntax, cuts, max_elements=max_elements)
        assert outcome(data, syntax, cuts, memory.recall(CT, syntax), max_elements=max_elements) == expected


@settings(max_examples=60, deadline=None)
@given(elements=data_sets, changes=edits, syntax=st.sampled_from([EXPLICIT, IMPLICIT]))
def test_a_data_set_may_be_cut_anywhere(elements, changes, syntax):
    memory = LayoutMemory()
    data = edited(elements, changes, syntax)
    for cuts in ([], [], range(0, len(data), 97), range(0, len(data), 13), range(len(data)), []):
        assert outcome(data, syntax, cuts, memory.recall(CT, syntax)) == outcome(data, syntax)


def series(count, syntax=EXPLICIT):
    """Data sets of one layout, of which a number grows."""
    for number in range(count):
        elements = [(tag, b"1." * 4) for tag in sorted(PLAIN)]
        elements[14] = (0x00200013, str(10**number).encode())
        yield encode_with(syntax)(elements)


class TestWhatIsRecalled:
    def scan(self, data, recall, syntax=EXPLICIT):
        walked = []
        scanner = HeaderScanner(syntax, recall=recall)
        count = scanner._count
        scanner._count = lambda elements: walked.append(elements) or count(elements)
        scanner.feed(data)
        scanner.finish()
        return scanner, max(walked, default=0)

    @pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
    def test_nothing_is_walked_the_second_time(self, syntax):
        memory = LayoutMemory()
        elements = [(tag, b"12" * 4) for tag in sorted(PLAIN)]
        elements.insert(6, (0x00081032, ([[(0x00080060, b"CT")]], False)))
        data = encode_with(syntax)(elements)
        self.scan(data, memory.recall(CT, syntax), syntax)
        scanner, at_once = self.scan(data, memory.recall(CT, syntax), syntax)
        assert not at_once, "it begins like the one before, to its end"
        assert scanner.values == scanned(data, syntax).values
        assert scanner.values[0x00081032]

    def test_a_length_that_varies_does_not_stop_it(self):
        memory = LayoutMemory()
        for number, data in enumerate(series(9)):
            scanner, at_once = self.scan(data, memory.recall(CT, EXPLICIT))
            assert scanner.uid(0x00080018) == "1.1.1.1."
            assert scanner.values[0x00200013] == str(10**number).encode()
            assert number == 0 or at_once >= 6

    def test_an_empty_sequence_that_is_filled_later(self):
        memory = LayoutMemory()
        for items in ([], [], [[(0x00080060, b"CT")]]):
            elements = [(tag, b"12" * 4) for tag in sorted(PLAIN)]
            elements.insert(6, (0x00081140, (items, False)))
            data = encode_with(IMPLICIT)(elements)
            assert outcome(data, IMPLICIT, (), memory.recall(CT, IMPLICIT)) == outcome(data, IMPLICIT)

    def test_a_value_that_grows_over_its_cap_is_not_kept(self):
        memory = LayoutMemory()
        for length in (2, 2, VALUE_CAP + 2, 2):
            elements = [(tag, b"12" * 4) for tag in sorted(PLAIN)]
            elements[9] = (0x00100010, b"A" * length)
            scanner, _ = self.scan(encode_with(EXPLICIT)(elements), memory.recall(CT, EXPLICIT))
            assert (0x00100010 in scanner.values) == (length == 2)


def scanned(data, syntax):
    scanner = HeaderScanner(syntax)
    scanner.feed(data)
    scanner.finish()
    return scanner


class TestDifferences:
    """What was learned three times over, then something else in the same place."""

    COMMON = tuple((tag, b"1." * 4) for tag in sorted(PLAIN))

    def same(self, before, after, syntax=EXPLICIT):
        memory = LayoutMemory()
        for data in [*before, after, before[-1]]:
            assert outcome(data, syntax, (), memory.recall(CT, syntax)) == outcome(data, syntax)

    @pytest.mark.parametrize(
        "header_of_another", [b"\x20\x00\x13\x00UN", b"\x20\x00\x13\x00SQ", b"\x21\x00\x13\x00IS"]
    )
    def test_another_header_where_the_length_varies(self, header_of_another):
        before = list(series(9))
        self.same(before, before[3].replace(b"\x20\x00\x13\x00IS", header_of_another))

    def test_another_vr_form(self):
        plain = encode_with(EXPLICIT)(self.COMMON[1:])
        first = self.COMMON[:1]
        before, after = (encode_with(syntax)(first) + plain for syntax in (EXPLICIT, IMPLICIT))
        self.same([before] * 3, after)

    @pytest.mark.parametrize("vr", ["OB", "UN"])
    def test_a_long_value_of_another_length(self, vr):
        def data(length):
            added = header(0x00091010, vr, length, EXPLICIT) + bytes(length)
            return encode_with(EXPLICIT)(self.COMMON[:9]) + added + encode_with(EXPLICIT)(self.COMMON[9:])

        self.same([data(10)] * 3, data(24))

    def test_a_uid_of_another_vr_twice(self):
        uid = header(0x00080018, "UN", 4, EXPLICIT) + b"1.2\0"
        other = encode_with(EXPLICIT)(self.COMMON[4:])
        self.same([uid + other] * 3, header(0x00080018, "UI", 4, EXPLICIT) + b"1.2\0" + uid + other)
        self.same([uid + other] * 3, uid + uid + other)

    def test_a_value_declared_beyond_the_end(self):
        before = list(series(5))
        self.same(before, before[3][:-3])


@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_real_files(path):
    file = BytesIO(path.read_bytes()[132:])
    syntax = _read_file_meta_info(file).get("TransferSyntaxUID", EXPLICIT)
    data = file.read()
    memory = SHARED
    for _ in range(3):
        assert outcome(data, syntax, (), memory.recall(CT, syntax)) == outcome(data, syntax)
    memory = LayoutMemory()
    for cuts in ([], [], [], range(0, len(data), 4099)):
        assert outcome(data, syntax, cuts, memory.recall(CT, syntax)) == outcome(data, syntax, cuts)


class TestBounds:
    def test_kinds(self):
        memory = LayoutMemory()
        for number in range(5000):
            memory.recall(f"1.2.{number}", EXPLICIT)
        assert len(memory._slots) == MAXIMUM_LAYOUTS
        assert ("1.2.0", EXPLICIT) not in memory._slots

    @pytest.mark.parametrize("length", [0, 200, 256, 300])
    def test_a_layout(self, length):
        memory = LayoutMemory()
        data = b"".join(
            header(tag, "LO", length, EXPLICIT) + b"A" * length
            for tag in range(0x00110010, 0x00110010 + 9000)
        )
        for _ in range(3):
            assert outcome(data, EXPLICIT, (), memory.recall(CT, EXPLICIT)) == outcome(data, EXPLICIT)
        (slot,) = memory._slots.values()
        assert sum(segment.length for segment in slot._layout.segments) <= MAXIMUM_BYTES
        assert len(slot._layout.segments) <= MAXIMUM_SEGMENTS

    def test_what_never_matches_is_learned_rarely(self):
        memory = LayoutMemory()
        learned = 0
        for number in range(1000):
            data = b"".join(
                header(tag, "LO", length, EXPLICIT) + bytes(length)
                for tag in range(0x00110010, 0x00110060)
                for length in [zlib.crc32(pack("II", tag, number)) % 30 * 2]
            )
            recall = memory.recall(CT, EXPLICIT)
            learned += recall is not None and recall._learning
            outcome(data, EXPLICIT, (), recall)
        assert 1 < learned < 20

    def test_a_data_set_that_failed_is_not_learned(self):
        memory = LayoutMemory()
        data = next(series(1))
        assert outcome(data[:-1], EXPLICIT, (), memory.recall(CT, EXPLICIT)) == outcome(data[:-1], EXPLICIT)
        assert memory.recall(CT, EXPLICIT) is None

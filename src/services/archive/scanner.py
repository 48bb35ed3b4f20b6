"""Walks a data set as it streams by, without holding it (PS3.5 7; PS3.4 B.2.3).

The data set of a C-STORE comes in fragments of any size. The scanner follows its structure to the last byte,
keeps the raw values of the index attributes, and refuses what cannot be a data set. A chunk inside a value
costs one comparison, and nothing is ever allocated by a length that the peer declared. It must not decode
text, touch files, or know the network.

The walk is a loop over frames, never a recursion: a data set frame holds elements (the data set itself, or an
item), a sequence frame holds items, a fragments frame holds the fragments of an encapsulated pixel value.
Runs of plain elements go through two tight loops; everything else is taken one header at a time. Positions
are counted from the start of the buffer at hand, and `base` is where in the data set that buffer starts.
"""

from services.archive.frames import (
    BIG_ENDIAN,
    LITTLE_ENDIAN,
    LONGEST_HEADER,
    UNDEFINED,
    Buffer,
    Frame,
    Kind,
    Nature,
    element_header,
    name_of,
)
from services.archive.index_attributes import (
    INDEX_TAGS,
    KNOWN_SEQUENCES,
    SEQUENCE_TAGS,
    UNIQUE_TAGS,
    VALUE_CAP,
    VALUE_TAGS,
    by_group,
    is_vr,
    uid_value,
)
from services.archive.invalid_data_set import (
    DataSetTooDeep,
    InvalidDataSet,
    TooManyElements,
    TruncatedDataSet,
)
from services.archive.kept_values import KeptValues, cap_of
from services.archive.layouts import Recall, Run
from services.archive.transfer_syntaxes import encoding_of

_NEVER = 1 << 62  # a position beyond every data set
_LONGEST_RUN = 1 << 30  # bytes; an element of undefined length always reaches beyond the end of a run
_DELIMITERS = 0xFFFE  # the group of Item, Item Delimitation Item and Sequence Delimitation Item (PS3.5 7.5)
_ITEM, _ITEM_DELIMITATION, _SEQUENCE_DELIMITATION = 0xE000, 0xE00D, 0xE0DD
_PIXEL_DATA = 0x7FE00010
_DATA_SET, _SEQUENCE, _FRAGMENTS = Kind.DATA_SET, Kind.SEQUENCE, Kind.FRAGMENTS  # looked up per header

_NOTHING: frozenset[int] = frozenset()
_NO_GROUPS: dict[int, frozenset[int]] = {}
_VALUES_OF_GROUP = by_group(VALUE_TAGS)
_SEQUENCES_OF_GROUP = by_group(KNOWN_SEQUENCES)


class HeaderScanner:
    """Scans one data set, without preamble and group 0002, fed in chunks.

    Args:
        transfer_syntax_uid: the transfer syntax of the presentation context it comes on, without padding.
        max_depth: how many sequences inside one another are followed; one more is refused.
        max_elements: how many elements and items, at any depth, are followed. Fragments do not count.
        recall: the layout of similar data sets. It changes the time a scan takes, nothing else.

    Attributes:
        values: the raw values of the attributes in `INDEX_TAGS` met so far at the top level, by tag; of a
            sequence its items, without its own header and delimiter (see `encoding_of_items`). A value over
            its cap is absent; of an attribute met twice the last one stands.
        needs_fallback: the transfer syntax is deflated, and nothing is scanned here: see `scan_deflated`.
        mismatched: the data set is in Implicit VR where its transfer syntax says Explicit, or the other way
            round. It is scanned as what it is; whether to take it is the caller's choice.
    """

    def __init__(
        self,
        transfer_syntax_uid: str,
        *,
        max_depth: int = 64,
        max_elements: int = 1_000_000,
        recall: Recall | None = None,
    ) -> None:
        encoding = encoding_of(transfer_syntax_uid)
        self._kept = KeptValues()
        self.values = self._kept.values
        self.needs_fallback = encoding.deflated
        self.mismatched = False
        self._max_depth = max_depth
        self._max_elements = max_elements
        self._recall = recall
        self._depth = 0
        self._elements = 0
        order = LITTLE_ENDIAN if encoding.little_endian else BIG_ENDIAN
        self._frame = Frame(
            _DATA_SET, 0, order, implicit=encoding.implicit_vr, sniff=True, end=_NEVER, defined=False
        )
        self._outer: list[Frame] = []
        self._fed = 0  # bytes
        self._next = _NEVER if encoding.deflated else 0  # where the next header starts
        self._carry = b""  # the start of a header cut by the end of a chunk
        self._tag = 0  # of the last element that was not passed in a run

    def feed(self, chunk: Buffer) -> None:
        """Scan the next bytes.

        Args:
            chunk: any number of bytes, read during the call only.

        Raises:
            InvalidDataSet: or a subclass; the scanner is of no further use.
        """
        start = self._fed
        self._fed = end = start + len(chunk)
        if end <= self._next and not self._kept.pending_until:
            return
        if (
            not start
            and self._recall is not None
            and self._repeats(self._recall, chunk)
            and end <= self._next
        ):
            return
        while self._carry:
            base = start - len(self._carry)
            head = self._carry + chunk[: LONGEST_HEADER - len(self._carry)]
            self._scan(head, base)
            if self._next == base:
                self._carry = head
                return
            self._carry = self._carry[self._next - base :]
        self._scan(chunk, start)
        if self._next < end:
            self._carry = bytes(chunk[self._next - start :])

    def _repeats(self, recall: Recall, chunk: Buffer) -> bool:
        """Whether the data set begins like one before; then that is passed."""
        found = recall.repeated(chunk)
        if found is None or found[0].elements > self._max_elements:
            return False
        template, values = found
        self.values.update(values)
        self.mismatched = template.mismatched
        self._frame.sniff, self._frame.implicit = False, template.implicit
        self._elements, self._next, self._tag = template.elements, template.following, template.last_tag
        return True

    @property
    def skippable(self) -> int:
        """How many of the bytes that come next the scan does not look at: `skip` as many instead of feeding them."""
        return 0 if self._kept.pending_until else max(self._next - self._fed, 0)

    def skip(self, count: int) -> None:
        """Take bytes as fed, at most `skippable` of them."""
        self._fed += count

    def finish(self) -> None:
        """Say that the data set has ended.

        Raises:
            TruncatedDataSet: it has not, by its own structure.
        """
        if self.needs_fallback:
            return
        if self._next == self._fed and (self._outer or self._kept.pending_until):
            self._scan(b"", self._fed)  # closes what has a length and ends here
        if self._next > self._fed:
            missing = self._next - self._fed
            raise TruncatedDataSet(
                f"the data set ends after {self._fed} bytes, {missing} bytes before the end of "
                f"{name_of(self._tag)}"
            )
        if self._carry:
            raise TruncatedDataSet(f"the data set ends after {self._fed} bytes, inside an element header")
        if self._outer:
            raise TruncatedDataSet(f"the data set ends after {self._fed} bytes, inside {self._frame}")
        if self._recall is not None:
            self._recall.end(self._frame, mismatched=self.mismatched, size=self._fed, elements=self._elements)

    def uid(self, tag: int) -> str:
        """The UID kept for a tag, without padding; empty where there is none."""
        return uid_value(self.values.get(tag, b""))

    def _scan(self, buffer: Buffer, base: int) -> None:
        kept = self._kept
        end = len(buffer)
        if kept.pending_until and kept.pending_until <= base + end:
            kept.complete(buffer, base, kept.pending_until)
        position = self._next - base
        while position <= end:
            frame = self._frame
            limit = frame.end - base
            if position == limit:
                self._close_at_length(buffer, base, position)
                continue
            stop = min(limit, end)
            if position + 8 > stop:
                if stop == limit:
                    raise InvalidDataSet(f"{limit - position} bytes too many at the end of {frame}")
                break
            kind = frame.kind
            if kind is _DATA_SET:
                if frame.sniff:
                    self._sniff(buffer, position)
                run = self._implicit_run if frame.implicit else self._explicit_run
                reach = min(stop, position + _LONGEST_RUN)
                if self._recall is None or self._outer:
                    following = run(buffer, position, reach)
                else:
                    following = self._recalled_run(run, buffer, base, position, reach)
                if following + 8 <= stop:
                    following = self._element(buffer, base, following)
            elif kind is _SEQUENCE:
                following = self._item(buffer, base, position)
            else:
                following = self._fragments(buffer, base, position, stop)
            if following == position:
                break
            position = following
        self._next = base + position
        if kept.pending_until:
            kept.extend(buffer, base, min(base + position, base + end))

    def _sniff(self, buffer: Buffer, position: int) -> None:
        """Look whether the first element of a data set has a VR.

        Items in Implicit VR inside an Explicit VR data set are what UN of undefined length calls for
        (PS3.5 6.2.2), and some writers do it in SQ too.
        """
        frame = self._frame
        frame.sniff = False
        group, _, _ = frame.order.implicit(buffer, position)
        if group == _DELIMITERS or _is_forbidden(group):
            return
        implicit = not is_vr(bytes(buffer[position + 4 : position + 6]))
        if not self._outer and implicit != frame.implicit:
            self.mismatched = True
        frame.implicit = implicit

    def _explicit_run(self, buffer: Buffer, position: int, stop: int) -> int:
        """Pass elements with a 16-bit length that lie before `stop`, up to the first that does not."""
        order = self._frame.order
        unpack = order.explicit
        short_vrs = order.short_vrs
        values_of = _NO_GROUPS if self._outer else _VALUES_OF_GROUP
        keep, values = self._kept.keep, self.values
        group_at_hand, wanted = -1, _NOTHING
        count = 0
        last = stop - 8
        while position <= last:
            group, element, vr, length = unpack(buffer, position)
            if group != group_at_hand:
                if not 0x0008 <= group < _DELIMITERS:
                    break
                group_at_hand, wanted = group, values_of.get(group, _NOTHING)
            following = position + 8 + length
            if vr not in short_vrs or following > stop:
                break
            if element in wanted:
                tag = group << 16 | element
                if tag in UNIQUE_TAGS or length > VALUE_CAP:
                    keep(tag, buffer[position + 8 : following])
                else:
                    values[tag] = bytes(buffer[position + 8 : following])
            position = following
            count += 1
        self._count(count)
        return position

    def _implicit_run(self, buffer: Buffer, position: int, stop: int) -> int:
        """Pass elements that lie before `stop`, up to the first that does not or may be a sequence."""
        unpack = self._frame.order.implicit
        values_of = _NO_GROUPS if self._outer else _VALUES_OF_GROUP
        keep, values = self._kept.keep, self.values
        group_at_hand, wanted, sequences = -1, _NOTHING, _NOTHING
        count = 0
        last = stop - 8
        while position <= last:
            group, element, length = unpack(buffer, position)
            if group != group_at_hand:
                if not 0x0008 <= group < _DELIMITERS:
                    break
                group_at_hand, wanted = group, values_of.get(group, _NOTHING)
                sequences = _SEQUENCES_OF_GROUP.get(group, _NOTHING)
            following = position + 8 + length
            if element in sequences or following > stop:
                break
            if element in wanted:
                tag = group << 16 | element
                if tag in UNIQUE_TAGS or length > VALUE_CAP:
                    keep(tag, buffer[position + 8 : following])
                else:
                    values[tag] = bytes(buffer[position + 8 : following])
            position = following
            count += 1
        self._count(count)
        return position

    def _recalled_run(self, run: Run, buffer: Buffer, base: int, position: int, stop: int) -> int:
        """Pass what `run` would pass, and maybe elements behind it, by what is known of the data set."""
        recall, elements = self._recall, self._elements
        if recall is None or elements + (stop - position) // 8 > self._max_elements:
            self._recall = None  # too many may be at hand, and must be noticed one by one
            return run(buffer, position, stop)
        following, passed = recall.pass_run(
            run, self._frame, self._kept, buffer, base, position, stop, elements
        )
        self._count(passed)
        return following

    def _element(self, buffer: Buffer, base: int, position: int) -> int:
        """Take one element of any sort, or the delimiter of the item; 8 bytes of it are there."""
        group, element, _ = self._frame.order.implicit(buffer, position)
        tag = group << 16 | element
        if group == _DELIMITERS:
            return self._item_delimitation(tag, base, position)
        top_level = not self._outer
        if top_level and _is_forbidden(group):
            raise InvalidDataSet(
                f"{name_of(tag)} at byte {base + position}: groups 0000, 0002, 0004 and 0006 have no place "
                "in a data set (PS3.5 7.1); send it without preamble and File Meta Information"
            )
        header = element_header(self._frame, tag, buffer, position)
        if header is None:
            return position
        content, length, nature = header
        self._tag = tag
        self._count(1)
        index = top_level and tag in INDEX_TAGS
        if length == UNDEFINED:
            encapsulated = nature is Nature.PLAIN or tag == _PIXEL_DATA
            self._open(
                _FRAGMENTS if encapsulated else _SEQUENCE,
                tag,
                end=self._frame.end,
                defined=False,
                unknown=nature is Nature.UNKNOWN,
            )
        elif base + content + length > self._frame.end:
            raise InvalidDataSet(
                f"{name_of(tag)} at byte {base + position} has {length} bytes, more than are left in "
                f"{self._frame}"
            )
        elif nature is Nature.SEQUENCE and length:
            self._open(_SEQUENCE, tag, end=base + content + length, defined=True)
        else:
            if index:
                self._keep_value(tag, nature, buffer, base, content, content + length)
            return content + length
        if index:
            self._keep_sequence(tag, base + content)
        return content

    def _open(self, kind: Kind, tag: int, *, end: int, defined: bool, unknown: bool = False) -> None:
        """Enter a sequence or fragments. One of VR UN is in Implicit VR Little Endian (PS3.5 6.2.2)."""
        outer = self._frame
        if kind is _SEQUENCE:
            self._depth += 1
            if self._depth > self._max_depth:
                raise DataSetTooDeep(
                    f"{name_of(tag)} is nested in {self._max_depth} sequences, more are not followed"
                )
        self._outer.append(outer)
        self._frame = Frame(
            kind,
            tag,
            LITTLE_ENDIAN if unknown else outer.order,
            implicit=outer.implicit or unknown,
            sniff=not outer.implicit,
            end=end,
            defined=defined,
        )

    def _item(self, buffer: Buffer, base: int, position: int) -> int:
        """Enter an item, or leave the sequence by its delimiter."""
        frame = self._frame
        group, element, length = frame.order.implicit(buffer, position)
        if group != _DELIMITERS or element not in (_ITEM, _SEQUENCE_DELIMITATION):
            found = f"{name_of(group << 16 | element)} at byte {base + position}"
            raise InvalidDataSet(f"{found} stands where an item of {frame} is due")
        if element == _SEQUENCE_DELIMITATION:
            if frame.defined:
                raise InvalidDataSet(
                    f"a delimiter at byte {base + position} ends {frame}, which has a length"
                )
            self._close(buffer, base, position)
            return position + 8
        self._count(1)
        content = position + 8
        defined = length != UNDEFINED
        end = base + content + length if defined else frame.end
        if end > frame.end:
            raise InvalidDataSet(
                f"an item at byte {base + position} has {length} bytes, more than are left in {frame}"
            )
        self._outer.append(frame)
        self._frame = Frame(
            _DATA_SET,
            frame.tag,
            frame.order,
            implicit=frame.implicit,
            sniff=frame.sniff,
            end=end,
            defined=defined,
        )
        return content

    def _item_delimitation(self, tag: int, base: int, position: int) -> int:
        frame = self._frame
        if tag & 0xFFFF != _ITEM_DELIMITATION or frame.defined or not self._outer:
            raise InvalidDataSet(f"{name_of(tag)} at byte {base + position} has no place in {frame}")
        self._frame = self._outer.pop()
        return position + 8

    def _fragments(self, buffer: Buffer, base: int, position: int, stop: int) -> int:
        """Pass fragments, up to the delimiter (PS3.5 A.4)."""
        frame = self._frame
        unpack = frame.order.implicit
        while position + 8 <= stop:
            group, element, length = unpack(buffer, position)
            if group == _DELIMITERS and element == _SEQUENCE_DELIMITATION:
                self._close(buffer, base, position)
                return position + 8
            if group != _DELIMITERS or element != _ITEM or length == UNDEFINED:
                found = f"{name_of(group << 16 | element)} of {length} bytes at byte {base + position}"
                raise InvalidDataSet(f"{found} stands where a fragment is due in {frame}")
            position += 8 + length
            if base + position > frame.end:
                raise InvalidDataSet(f"a fragment of {length} bytes is more than is left in {frame}")
        return position

    def _close_at_length(self, buffer: Buffer, base: int, position: int) -> None:
        if not self._frame.defined:
            raise InvalidDataSet(
                f"{self._frame} has no delimiter, what holds it ends at byte {base + position}"
            )
        self._close(buffer, base, position)

    def _close(self, buffer: Buffer, base: int, position: int) -> None:
        frame = self._frame
        self._frame = self._outer.pop()
        if frame.kind is not _SEQUENCE:
            return
        self._depth -= 1
        if not self._outer and self._kept.pending_until:
            self._kept.complete(buffer, base, base + position)

    def _keep_value(
        self, tag: int, nature: Nature, buffer: Buffer, base: int, content: int, following: int
    ) -> None:
        length = following - content
        as_sequence = tag in SEQUENCE_TAGS and (nature is Nature.UNKNOWN or not length)
        if not (tag in VALUE_TAGS or as_sequence) or length > cap_of(tag):
            self._kept.drop(tag)
        elif following <= len(buffer):
            self._kept.keep(tag, buffer[content:following])
        else:
            self._kept.begin(tag, base + content, base + following)

    def _keep_sequence(self, tag: int, start: int) -> None:
        if tag in SEQUENCE_TAGS and self._frame.kind is _SEQUENCE:
            self._kept.begin(tag, start, None)
        else:
            self._kept.drop(tag)

    def _count(self, elements: int) -> None:
        self._elements += elements
        if self._elements > self._max_elements:
            raise TooManyElements(f"more than {self._max_elements} elements")


def _is_forbidden(group: int) -> bool:
    """Command and file groups, which no data set may hold (PS3.5 7.1)."""
    return group in (0x0000, 0x0002, 0x0004, 0x0006)

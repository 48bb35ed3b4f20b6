"""Hypothesis strategies for PDUs that encode to bytes and come back equal."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dul.pdus import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AnyPDU,
    ApplicationContextItem,
    AReleaseRP,
    AReleaseRQ,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PDataTF,
    PresentationContextACItem,
    PresentationContextRQItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UnknownItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
)
from dul.reasons import AbortReason, RejectReason

bytes8 = st.integers(0, 255)
context_ids = st.integers(0, 127).map(lambda n: 2 * n + 1)
fields = st.binary(max_size=20)
uids = st.lists(st.integers(0, 99999), min_size=1, max_size=8).map(lambda parts: ".".join(map(str, parts)))
titles = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=16, max_size=16
)
text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), max_size=16)
# Types between and beyond those of the standard, at neither level known.
unknown_items = st.builds(
    UnknownItem, st.sampled_from((0x00, 0x11, 0x22, 0x31, 0x4F, 0x5A, 0x7F, 0xFF)), fields
)

_sub_items_but_maximum_length: SearchStrategy[UserDataSubItem] = st.one_of(
    st.builds(ImplementationClassUIDSubItem, uids),
    st.builds(ImplementationVersionNameSubItem, text),
    st.builds(AsynchronousOperationsWindowSubItem, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    st.builds(RoleSelectionSubItem, uids, st.booleans(), st.booleans()),
    st.builds(SOPClassExtendedNegotiationSubItem, uids, fields),
    st.builds(
        SOPClassCommonExtendedNegotiationSubItem, uids, uids, st.lists(uids, max_size=3).map(tuple), bytes8
    ),
    st.builds(UserIdentityRQSubItem, bytes8, st.booleans(), fields, fields),
    st.builds(UserIdentityACSubItem, fields),
    unknown_items,
)


@st.composite
def user_information_items(draw: st.DrawFn) -> UserInformationItem:
    sub_items = draw(st.lists(_sub_items_but_maximum_length, max_size=5))
    maximum_length = draw(st.none() | st.integers(0, 0xFFFFFFFF))
    if maximum_length is not None:
        sub_items.insert(draw(st.integers(0, len(sub_items))), MaximumLengthSubItem(maximum_length))
    return UserInformationItem(tuple(sub_items))


_contexts_rq = st.lists(
    st.builds(
        PresentationContextRQItem, context_ids, uids, st.lists(uids, min_size=1, max_size=4).map(tuple)
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item.presentation_context_id,
)
_contexts_ac = st.lists(
    st.builds(PresentationContextACItem, context_ids, st.integers(0, 5), uids),
    min_size=1,
    max_size=5,
    unique_by=lambda item: item.presentation_context_id,
)


@st.composite
def _variable_items(draw, contexts):
    items = [
        draw(st.builds(ApplicationContextItem, uids)),
        *draw(contexts),
        draw(user_information_items()),
        *draw(st.lists(unknown_items, max_size=2)),
    ]
    return tuple(draw(st.permutations(items)))


_reserved = st.binary(min_size=32, max_size=32)
_versions = st.integers(0, 0xFFFF)

a_associate_rqs: SearchStrategy[AAssociateRQ] = st.builds(
    AAssociateRQ, titles, titles, _variable_items(_contexts_rq), _versions, _reserved
)
a_associate_acs: SearchStrategy[AAssociateAC] = st.builds(
    AAssociateAC, titles, titles, _variable_items(_contexts_ac), _versions, _reserved
)
a_associate_rjs: SearchStrategy[AAssociateRJ] = st.builds(
    AAssociateRJ, bytes8, st.builds(RejectReason, bytes8, bytes8)
)
pdvs: SearchStrategy[PDV] = st.builds(PDV, context_ids, bytes8, st.binary(max_size=40))
p_data_tfs: SearchStrategy[PDataTF] = st.builds(PDataTF, st.lists(pdvs, min_size=1, max_size=5).map(tuple))
a_aborts: SearchStrategy[AAbort] = st.builds(AAbort, st.builds(AbortReason, bytes8, bytes8))
pdus: SearchStrategy[AnyPDU] = st.one_of(
    a_associate_rqs,
    a_associate_acs,
    a_associate_rjs,
    p_data_tfs,
    st.just(AReleaseRQ()),
    st.just(AReleaseRP()),
    a_aborts,
)
"""Any of the seven."""

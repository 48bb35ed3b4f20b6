"""Negotiation: cases 38 to 82, and from 200 on what goes beyond them (PS3.8 9.3.2, 9.3.3; PS3.7 Annex D.3)."""

from services.conformance.case import Case
from services.conformance.cases import (
    negotiation_contexts,
    negotiation_identity,
    negotiation_items,
    negotiation_lengths,
    negotiation_roles,
    negotiation_titles,
    negotiation_uids,
    negotiation_user,
)

CASES: tuple[Case, ...] = (
    *negotiation_titles.CASES,
    *negotiation_contexts.CASES,
    *negotiation_uids.CASES,
    *negotiation_items.CASES,
    *negotiation_lengths.CASES,
    *negotiation_user.CASES,
    *negotiation_roles.CASES,
    *negotiation_identity.CASES,
)

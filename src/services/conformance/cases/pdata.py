"""P-DATA and message assembly: cases 83 to 97 (PS3.8 9.3.5, Annex E), and beyond."""

from services.conformance.case import Case
from services.conformance.cases import pdata_fragments, pdata_lengths, pdata_order

CASES: tuple[Case, ...] = (*pdata_fragments.CASES, *pdata_lengths.CASES, *pdata_order.CASES)

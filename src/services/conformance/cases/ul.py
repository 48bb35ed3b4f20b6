"""Transport and PDUs: cases 1 to 37, and from 200 on what goes beyond them (PS3.8 9.1 to 9.3).

Case 35, a release collision, concerns an association that the peer requested: it is nothing to ask an SCP.
"""

from services.conformance.case import Case
from services.conformance.cases import ul_association, ul_end, ul_first, ul_load, ul_opening

CASES: tuple[Case, ...] = (
    *ul_opening.CASES,
    *ul_first.CASES,
    *ul_association.CASES,
    *ul_end.CASES,
    *ul_load.CASES,
)

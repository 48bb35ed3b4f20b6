"""TLS, foreign protocols, hostile names: cases 157 to 165, and from 200 on what goes beyond them."""

from services.conformance.case import Case
from services.conformance.cases import security_foreign, security_session, security_suites, security_tls

CASES: tuple[Case, ...] = (
    *security_tls.CASES,
    *security_suites.CASES,
    *security_session.CASES,
    *security_foreign.CASES,
)

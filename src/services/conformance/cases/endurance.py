"""Endurance: many, long, odd."""

from services.conformance.case import Case

CASES: tuple[Case, ...] = ()

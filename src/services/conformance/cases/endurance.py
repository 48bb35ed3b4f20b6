"""Endurance: many, long, odd: cases 97, 117 and 166, and beyond. Every case is bounded in number, bytes and time."""

from services.conformance.case import Case
from services.conformance.cases import endurance_churn, endurance_messages, endurance_noise

CASES: tuple[Case, ...] = (*endurance_messages.CASES, *endurance_churn.CASES, *endurance_noise.CASES)

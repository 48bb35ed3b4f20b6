"""Benchmarks: our server beside real peers, in one run, under the same load. `make bench` runs them."""

import sys
from pathlib import Path

_TESTS = str(Path(__file__).resolve().parents[1] / "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)  # the harness that starts peers is that of the tests

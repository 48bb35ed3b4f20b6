"""Where a C-MOVE may send instances."""

import pytest

from services.retrieve.destinations import Destinations, MoveDestination

WORKSTATION = MoveDestination("192.0.2.1", 11112, "WORK_AE")
KNOWN = {"WORKSTATION": WORKSTATION}


@pytest.mark.parametrize("name", ["WORKSTATION", "WORKSTATION     ", " WORKSTATION", "WORKSTATION\0"])
def test_known_destination_is_found_with_or_without_padding(name: str) -> None:
    assert Destinations(KNOWN).find(name) == WORKSTATION


@pytest.mark.parametrize(
    "name", ["", " ", "workstation", "WORK_AE", "WORKSTATION2", "WORK STATION", "192.0.2.1:11112:WORK_AE"]
)
def test_anything_else_is_unknown(name: str) -> None:
    assert Destinations(KNOWN).find(name) is None


@pytest.mark.parametrize(
    ("name", "destination"),
    [
        ("192.0.2.7:104:STORE", MoveDestination("192.0.2.7", 104, "STORE")),
        ("pacs.example.org:65535:A", MoveDestination("pacs.example.org", 65535, "A")),
        ("[2001:db8::1]:1:AE ", MoveDestination("2001:db8::1", 1, "AE")),
        ("WORKSTATION", WORKSTATION),
    ],
)
def test_ad_hoc_destination(name: str, destination: MoveDestination) -> None:
    assert Destinations(KNOWN, allow_ad_hoc=True).find(name) == destination


@pytest.mark.parametrize(
    "name",
    [
        "UNKNOWN",
        "192.0.2.7:104",
        "192.0.2.7:0:STORE",
        "192.0.2.7:65536:STORE",
        "192.0.2.7:-1:STORE",
        "192.0.2.7:104:",
        "192.0.2.7:104:SEVENTEEN_LETTERS",
        "192.0.2.7:104:BACK\\SLASH",
        "192.0.2.7:104:STORE\nAE",
        ":104:STORE",
        "2001:db8::1:104:STORE",
        "ho st:104:STORE",
        "192.0.2.7:١٠٤:STORE",
        "h" * 256 + ":104:STORE",
    ],
)
def test_ad_hoc_destination_that_names_no_peer_is_unknown(name: str) -> None:
    assert Destinations(KNOWN, allow_ad_hoc=True).find(name) is None

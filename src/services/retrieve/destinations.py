"""Where a C-MOVE may send instances: to those that were named beforehand, and nowhere else (PS3.4 C.4.2.1.3)."""

import re
from collections.abc import Mapping

from msgspec import Struct

_AD_HOC = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5}):(?P<title>[!-\[\]-~]{1,16})"
)
"""`host:port:AE`, with an IPv6 address in brackets."""


class MoveDestination(Struct, frozen=True):
    """A peer that instances can be sent to.

    Attributes:
        host, port: where it listens.
        ae_title: what it is called there.
    """

    host: str
    port: int
    ae_title: str


class Destinations:
    """The Move Destinations of a server.

    Args:
        known: by Move Destination (0000,0600).
        allow_ad_hoc: take `host:port:AE` as one, too: whoever may C-MOVE can then have instances sent anywhere.
    """

    def __init__(self, known: Mapping[str, MoveDestination], *, allow_ad_hoc: bool = False) -> None:
        self._known = dict(known)
        self._allow_ad_hoc = allow_ad_hoc

    def find(self, move_destination: str) -> MoveDestination | None:
        """The destination of a C-MOVE; None where nobody knows it.

        Args:
            move_destination: with or without its padding; upper and lower case differ.
        """
        name = move_destination.strip(" \0")
        known = self._known.get(name)
        if known is not None or not self._allow_ad_hoc:
            return known
        found = _AD_HOC.fullmatch(name)
        if found is None or not 1 <= int(found["port"]) <= 65535:
            return None
        return MoveDestination(found["host"].strip("[]"), int(found["port"]), found["title"])

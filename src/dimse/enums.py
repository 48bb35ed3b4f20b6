"""The numbers of command sets: Command Field, Priority, Command Data Set Type (PS3.7 Annex E).

Names are those of PS3.7; nothing here does anything.
"""

from enum import IntEnum

NO_DATA_SET = 0x0101
"""Command Data Set Type: no data set follows (PS3.7 E.1)."""

DATA_SET_FOLLOWS = 0x0001
"""Command Data Set Type as we write it where a data set follows; every value but 0101H says so."""

RESPONSE_BIT = 0x8000
"""Set in the Command Field of every response."""


class CommandField(IntEnum):
    """Command Field (0000,0100) (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF

    @property
    def label(self) -> str:
        """The message's name as the standard writes it, such as `C-STORE-RQ`."""
        return self.name.replace("_", "-")


class Priority(IntEnum):
    """Priority (0000,0700) of a DIMSE-C request (PS3.7 E.1)."""

    MEDIUM = 0x0000
    HIGH = 0x0001
    LOW = 0x0002

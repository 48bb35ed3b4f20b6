"""How long the Upper Layer waits, in seconds.

ARTIM is the standard's (PS3.8 9.1.5); the others are application timers, which the standard leaves to us.
The state machine knows none of them: an expiry other than ARTIM's enters it as a local abort (Evt15).
"""

from msgspec import Struct


class Timers(Struct, frozen=True, kw_only=True):
    """Every wait on a peer; each value in seconds, above 0.

    Attributes:
        artim: Sta2, for a whole A-ASSOCIATE-RQ; bytes do not prolong it (PS3.8 9.1.5).
        artim_close: Sta13, for the peer to close the transport.
        association: connecting, and waiting for the answer to our A-ASSOCIATE-RQ.
        release: waiting for the answer to our A-RELEASE-RQ, or for our own operations to end before we answer one.
        idle: an acceptor's association on which nothing happens; None for no limit.
        pdu: a PDU that has begun must be complete, and a pause of ours must be over.
        write: the peer must take what we sent.
    """

    artim: float = 30.0
    artim_close: float = 10.0
    association: float = 30.0
    release: float = 30.0
    idle: float | None = 60.0
    pdu: float = 60.0
    write: float = 60.0

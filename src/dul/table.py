"""Table 9-10 of PS3.8: which action answers which event in which state.

Rows are events 1 to 19, columns states 1 to 13, as printed in the standard: put a ruler on both. A cell is
the action itself, a blank cell is blank there too. Nothing is added to it: every time-out but ARTIM's enters
as a local A-ABORT request (Evt15).
"""

from dul.actions import (
    AA_1,
    AA_2,
    AA_3,
    AA_4,
    AA_5,
    AA_6,
    AA_7,
    AA_8,
    AE_1,
    AE_2,
    AE_3,
    AE_4,
    AE_5,
    AE_6,
    AE_7,
    AE_8,
    AR_1,
    AR_2,
    AR_3,
    AR_4,
    AR_5,
    AR_6,
    AR_7,
    AR_8,
    AR_9,
    AR_10,
    DT_1,
    DT_2,
    Action,
)

____ = None

# fmt: off
TABLE: tuple[tuple[Action | None, ...], ...] = (
#    Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10  Sta11 Sta12 Sta13
    (AE_1, ____, ____, ____, ____, ____, ____, ____, ____, ____,  ____, ____, ____),  # Evt1  A-ASSOCIATE request
    (____, ____, ____, AE_2, ____, ____, ____, ____, ____, ____,  ____, ____, ____),  # Evt2  transport connection confirmed
    (____, AA_1, AA_8, ____, AE_3, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),  # Evt3  A-ASSOCIATE-AC PDU
    (____, AA_1, AA_8, ____, AE_4, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),  # Evt4  A-ASSOCIATE-RJ PDU
    (AE_5, ____, ____, ____, ____, ____, ____, ____, ____, ____,  ____, ____, ____),  # Evt5  transport connection indicated
    (____, AE_6, AA_8, ____, AA_8, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_7),  # Evt6  A-ASSOCIATE-RQ PDU
    (____, ____, AE_7, ____, ____, ____, ____, ____, ____, ____,  ____, ____, ____),  # Evt7  A-ASSOCIATE response (accept)
    (____, ____, AE_8, ____, ____, ____, ____, ____, ____, ____,  ____, ____, ____),  # Evt8  A-ASSOCIATE response (reject)
    (____, ____, ____, ____, ____, DT_1, ____, AR_7, ____, ____,  ____, ____, ____),  # Evt9  P-DATA request
    (____, AA_1, AA_8, ____, AA_8, DT_2, AR_6, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),  # Evt10 P-DATA-TF PDU
    (____, ____, ____, ____, ____, AR_1, ____, ____, ____, ____,  ____, ____, ____),  # Evt11 A-RELEASE request
    (____, AA_1, AA_8, ____, AA_8, AR_2, AR_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_6),  # Evt12 A-RELEASE-RQ PDU
    (____, AA_1, AA_8, ____, AA_8, AA_8, AR_3, AA_8, AA_8, AR_10, AR_3, AA_8, AA_6),  # Evt13 A-RELEASE-RP PDU
    (____, ____, ____, ____, ____, ____, ____, AR_4, AR_9, ____,  ____, AR_4, ____),  # Evt14 A-RELEASE response
    (____, ____, AA_1, AA_2, AA_1, AA_1, AA_1, AA_1, AA_1, AA_1,  AA_1, AA_1, ____),  # Evt15 A-ABORT request
    (____, AA_2, AA_3, ____, AA_3, AA_3, AA_3, AA_3, AA_3, AA_3,  AA_3, AA_3, AA_2),  # Evt16 A-ABORT PDU
    (____, AA_5, AA_4, AA_4, AA_4, AA_4, AA_4, AA_4, AA_4, AA_4,  AA_4, AA_4, AR_5),  # Evt17 transport connection closed
    (____, AA_2, ____, ____, ____, ____, ____, ____, ____, ____,  ____, ____, AA_2),  # Evt18 ARTIM timer expired
    (____, AA_1, AA_8, ____, AA_8, AA_8, AA_8, AA_8, AA_8, AA_8,  AA_8, AA_8, AA_7),  # Evt19 unrecognized or invalid PDU
)
# fmt: on

"""Retrieving (PS3.4 C.4.2 and C.4.3): C-GET and C-MOVE, SCP and SCU. Knows no index and no SQL."""

"""The DICOM Upper Layer (PS3.8): bytes, PDUs, the state machine, and two ways to run it on asyncio.

Read `table`, `actions` and `machine` beside PS3.8 9.2, then `streams`. Nothing here knows DIMSE, pydicom or files.
"""

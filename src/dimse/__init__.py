"""DICOM messages (PS3.7): command sets, assembling and fragmenting, operations in both directions.

Uses the Upper Layer through `dul.provider`; knows no service class, no pydicom and no files.
"""

"""The protocol made visible: bytes to an annotated, explained association. Knows `dul` and `dimse`."""

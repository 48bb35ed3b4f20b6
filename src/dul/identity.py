"""Who we say we are in every association and every stored file (PS3.7 D.3.3.2)."""

IMPLEMENTATION_CLASS_UID = "2.25.298160403811932873542906186431823206297"
"""One fixed UUID-derived UID (PS3.5 B.2); it names this implementation, not an installation."""

IMPLEMENTATION_VERSION_NAME = "DICOM_SERVER_01"
"""1 to 16 characters (PS3.7 D.3.3.2.3)."""

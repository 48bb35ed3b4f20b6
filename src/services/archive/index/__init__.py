"""The index of an archive: who and what is stored, in SQLite or PostgreSQL. Knows SQL and pydicom, no files."""

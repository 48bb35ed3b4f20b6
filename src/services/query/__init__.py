"""Queries (PS3.4 Annex C): what is asked, what matches, what is answered. Knows data sets, no network and no SQL."""

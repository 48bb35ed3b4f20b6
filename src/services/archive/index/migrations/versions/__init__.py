"""The revisions. A revision that has been released never changes."""

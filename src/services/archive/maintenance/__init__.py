"""What is done to an archive besides storing, finding and retrieving: reindex, verify, import, backup, restore."""

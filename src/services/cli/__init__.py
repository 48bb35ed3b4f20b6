"""The console commands; thin."""

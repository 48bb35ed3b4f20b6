"""What is kept: Part 10 files in a data directory. Knows neither the wire nor who uses it."""

"""The program: configuration, limits, access, counters, control socket, log."""

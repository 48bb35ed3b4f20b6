"""Round trips in the words of a person."""

import math


def milliseconds(seconds: float) -> str:
    """A duration for a person."""
    return f"{seconds * 1000:.2f} ms"


def round_trip_statistics(round_trips: list[float]) -> str:
    """Minimum, average, maximum and standard deviation (of these values, not estimated for others)."""
    average = sum(round_trips) / len(round_trips)
    deviation = math.sqrt(sum((one - average) ** 2 for one in round_trips) / len(round_trips))
    values = (("min", min(round_trips)), ("avg", average), ("max", max(round_trips)), ("stddev", deviation))
    return "round trip: " + ", ".join(f"{name} {milliseconds(value)}" for name, value in values)

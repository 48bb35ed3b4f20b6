"""Round trips for a person."""

from services.cli.round_trips import round_trip_statistics


def test_the_statistics() -> None:
    assert round_trip_statistics([0.001, 0.003]) == (
        "round trip: min 1.00 ms, avg 2.00 ms, max 3.00 ms, stddev 1.00 ms"
    )
    assert (
        round_trip_statistics([0.002]) == "round trip: min 2.00 ms, avg 2.00 ms, max 2.00 ms, stddev 0.00 ms"
    )

"""The conformance tester: cases as data, a scripted peer at byte level, reports. Builds its own bytes."""

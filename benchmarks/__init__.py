"""Benchmarks: our server beside real peers, in one run, under the same load. `make bench` runs them."""

"""Benchmarks over real corpora; `make bench SUITES=DIR`. Not part of the tests."""

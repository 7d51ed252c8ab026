"""Benchmarks of the service under load, of its peers, and of what it survives: `make serving SUITES=DIR`."""

"""Metrics: pure functions of recorded results, so that an old run can be scored again without a model."""

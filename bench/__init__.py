"""Benchmarks: each prints a table, beside a baseline measured in the same run."""

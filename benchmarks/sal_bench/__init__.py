"""Benchmarks: latency reports that can be believed."""

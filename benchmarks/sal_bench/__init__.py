"""Benchmarks: latency reports that can be believed.

A run is a list of raw samples, taken in rounds that alternate between the contestants, with what the machine told
beside them. One :class:`sal_bench.report.Report` holds it all; the table, the Markdown, the page and the comparison are
views of it.
"""

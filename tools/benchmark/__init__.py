"""Seconds and memory of each method, beside what else could do the same work.

``renalseg bench`` is `tools.benchmark.run.run_benchmark` and the report of its result.
"""

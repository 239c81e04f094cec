"""Seconds and memory of each method, beside what else could do the same work.

``renalseg bench`` is `renalseg.benchmark.run.run_benchmark` and the report of its result.
"""

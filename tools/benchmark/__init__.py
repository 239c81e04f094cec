"""Seconds and memory of each method, beside what else could do the same work.

``python -m tools bench`` is `tools.benchmark.all_methods.run_benchmark` and the report of what it
measured.
"""

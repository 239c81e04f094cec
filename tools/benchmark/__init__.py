"""Seconds and memory of each method, compared with alternatives.

``python -m tools bench`` runs `tools.benchmark.all_methods.run_benchmark` and reports what it
measured.
"""

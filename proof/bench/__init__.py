"""Benchmarks: speed and memory of the pipeline on a temporary platform, against a hand-written SQL load.

Ratios are taken in one run on one machine. Both loads read the same bytes.
"""

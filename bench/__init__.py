"""Benchmarks: the platform and what it is compared with, measured in one run on one machine.

`make bench` runs all of them; docs/performance.md says what they found.
"""

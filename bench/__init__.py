"""Benchmarks: figures with a baseline each. Not imported by steersman or its tests."""

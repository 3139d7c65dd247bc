"""Benchmarks: speed as ratios (`make bench`), long checks (`make soak`), and real data."""

"""Measurements: speed as ratios in one run (`make bench`), long checks (`make soak`), real data."""

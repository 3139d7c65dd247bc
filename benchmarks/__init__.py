"""Measurements: speed as ratios in one run (`make bench`), long checks (`make soak`), real data."""

import imigue_lab as imigue_lab  # before torch: it sets OpenMP's wait policy

"""Skeletons: layouts, normalisation, sampling, augmentation, streams, heatmaps and graphs."""

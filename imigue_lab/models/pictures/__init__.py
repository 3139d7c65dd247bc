"""Networks that read pictures or heatmaps."""

"""Finished runs: opened, compared, fused, submitted, and beside the published numbers."""

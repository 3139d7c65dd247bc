"""Frozen encoders, run once over each video: faces, keypoints, and stored features."""

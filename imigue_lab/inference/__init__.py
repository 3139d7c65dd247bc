"""A video of one's own: keypoints, windows, segments, files."""

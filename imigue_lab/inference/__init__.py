"""Analysis of a user's video: keypoints, windows, segments, files."""

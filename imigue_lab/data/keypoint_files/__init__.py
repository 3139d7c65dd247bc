"""Keypoint files of every format: reading, cache, and the keypoints of clips."""

"""Keypoint files of every kind: read, parsed once and kept, cut to clips."""

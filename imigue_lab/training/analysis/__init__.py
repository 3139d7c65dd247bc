"""Finished runs on whole videos: windows, segments, and a user's own recordings."""

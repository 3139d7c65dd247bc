"""Frozen encoders, run once over each video: whose face it is, and what the encoders say of it."""

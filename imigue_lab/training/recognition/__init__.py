"""Micro-gestures in untrimmed video: what a recogniser learns from, its training and its scores."""

"""The face detectors: what all of them promise, and one file each."""

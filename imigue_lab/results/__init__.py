"""Finished runs: open, compare, fuse, submit, and tabulate with the published numbers."""

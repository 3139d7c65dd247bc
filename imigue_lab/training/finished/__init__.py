"""Finished runs: opened, made again, compared, joined, tabled, handed in."""

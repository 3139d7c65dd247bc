"""Notebook 05: what the memory holds, on a plane."""

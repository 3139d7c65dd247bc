"""Notebook 05: the memory of a gesture run on a plane."""

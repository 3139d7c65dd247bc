"""Notebook 07: what InterFusion's gates let through, and what is lost without it."""

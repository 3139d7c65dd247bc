"""The emotion model: what it learns from, and its training."""

"""A synthetic iMiGUE in the real layout: `story` plans, `recording` draws, `tree` writes it."""

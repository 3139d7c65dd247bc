"""A synthetic iMiGUE in the real layout: `story` plans it, `recording` draws it, `tree` writes it."""

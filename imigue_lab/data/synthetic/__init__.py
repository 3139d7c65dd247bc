"""A synthetic iMiGUE in the real layout: planned (`story`), drawn (`drawing`), written (`tree`)."""

"""Figures first (plotly), widgets around them: what a person looks at."""

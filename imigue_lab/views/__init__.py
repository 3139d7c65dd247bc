"""Figures (plotly) and widgets (anywidget) of data and runs."""

"""Video files: frames by exact index, windows, frame tables, cached properties."""

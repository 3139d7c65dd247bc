"""The rivals of Table 1, one idea a file; `table` builds them by name."""

"""The run card: one page about one finished run."""

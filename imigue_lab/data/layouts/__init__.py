"""The layouts of a data root on disk, one file per family; `recognise` detects which it is."""

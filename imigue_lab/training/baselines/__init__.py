"""Networks of Table 1: what each row reads, and their training."""

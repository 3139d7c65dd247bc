"""Published checkpoints, one family a module: what to build, and how its keys are called here."""

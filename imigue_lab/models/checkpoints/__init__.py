"""Published checkpoints: key maps and sizes of every family, and how a file becomes a model."""

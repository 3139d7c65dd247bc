"""Raw interviews become one index, and the index becomes tensors."""

"""The gesture model: tokens of both modalities, its pose encoder, and its training."""

"""Notebook 07: the gates of InterFusion, and predictions without a modality or a span of time."""

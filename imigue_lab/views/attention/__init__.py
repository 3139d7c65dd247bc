"""Notebook 06: what CMTF, the pose graph and MViT look at in one clip."""

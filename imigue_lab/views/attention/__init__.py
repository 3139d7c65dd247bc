"""Notebook 06: attention of CMTF, the pose graph and MViT in one clip."""

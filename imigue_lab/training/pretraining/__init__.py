"""Masked pre-training of skeletons (MAMP) and video (VideoMAE) on unlabelled windows."""

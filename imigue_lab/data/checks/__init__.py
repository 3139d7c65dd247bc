"""The data check: label tables, keypoints and videos; `root` is the procedure."""

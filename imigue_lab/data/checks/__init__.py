"""What the data check looks at, a file a source: tables, keypoints, videos."""

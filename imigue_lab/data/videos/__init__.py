"""What lies under `data/video.py`: decoding by time stamp, frame tables, windows."""

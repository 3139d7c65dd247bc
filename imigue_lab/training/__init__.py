"""Settings, the loop, run folders and honest scores."""

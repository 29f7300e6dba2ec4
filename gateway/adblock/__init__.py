"""What a browser need not load: advertisements and trackers, by filter lists."""

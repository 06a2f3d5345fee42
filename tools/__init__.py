"""Programs for those who work on pronghorn."""

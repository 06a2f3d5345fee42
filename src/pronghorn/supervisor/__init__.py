"""Worker processes: their supervisor, the reloader, and the program that runs in each."""

"""Worker processes: the supervisor, the reloader, and the program of a worker."""

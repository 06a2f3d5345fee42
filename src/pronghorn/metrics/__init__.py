"""What a server counts, where each process keeps it, and the listener that shows it."""

"""Stop and replace servers under load, and count the outcome of each request."""

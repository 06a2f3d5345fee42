"""Coverage-guided fuzzing of everything that reads a client's bytes or an operator's words: `python -m fuzz --help`."""

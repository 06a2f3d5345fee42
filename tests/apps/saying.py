"""Lines for a test to read."""

import sys


def say(text):
    """Write a line to stderr at once: `print` writes its end apart, and the lines of two workers would mix."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

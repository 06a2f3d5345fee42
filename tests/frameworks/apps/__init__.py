"""Equivalent applications, one per framework."""

from pathlib import Path

HERE = Path(__file__).parent

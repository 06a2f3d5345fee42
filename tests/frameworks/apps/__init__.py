"""Applications, one a framework, that do the same things."""

from pathlib import Path

HERE = Path(__file__).parent

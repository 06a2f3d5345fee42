"""An application whose import takes a moment."""

import sys
import time

print("importing", file=sys.stderr, flush=True)
time.sleep(1)

from service import app as app  # noqa: E402

"""An application with an endless import."""

import contextlib
import sys
import time

print("importing", file=sys.stderr, flush=True)
while True:
    with contextlib.suppress(BaseException):
        time.sleep(60)

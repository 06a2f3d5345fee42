"""The error of a `send()` whose client is gone, at the place where uvicorn has it."""

from pronghorn.errors import ClientDisconnected as ClientDisconnected

"""The compiled form of `pronghorn._wire.websocket`."""

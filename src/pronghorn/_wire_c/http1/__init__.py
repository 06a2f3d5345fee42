"""The compiled form of `pronghorn._wire.http1`."""

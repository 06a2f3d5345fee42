"""The compiled form of `pronghorn._wire.http2`."""

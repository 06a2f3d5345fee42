"""The hot path, one source: run as it stands, and compiled a second time as `pronghorn._wire_c`."""

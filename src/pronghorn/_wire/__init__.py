"""The hot path. One source serves both forms: it runs interpreted, and Cython compiles it as `pronghorn._wire_c`."""

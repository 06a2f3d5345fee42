"""The lifespans of a configuration, at uvicorn's import paths. The protocol is in `pronghorn.application.lifespan`."""

"""Where uvicorn has names that applications import."""

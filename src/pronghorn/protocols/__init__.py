"""uvicorn's import path for names that applications use."""

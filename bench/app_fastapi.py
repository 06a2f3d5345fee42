"""A FastAPI application with one JSON route that has a path and a query parameter."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int, q: str = "") -> dict[str, int | str]:
    """Answer the two parameters."""
    return {"item_id": item_id, "q": q}

"""A FastAPI application with two JSON routes that have a path and a query parameter."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{item_id}")
async def item(item_id: int, q: str = "") -> dict[str, int | str]:
    """Answer the two parameters."""
    return {"item_id": item_id, "q": q}


@app.get("/def/{item_id}")
def item_in_thread(item_id: int, q: str = "") -> dict[str, int | str]:
    """Answer the two parameters, from a thread of the pool."""
    return {"item_id": item_id, "q": q}

"""FastAPI: parameters, models, dependencies and the lifespan's state."""

import contextlib

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"prices": {"apple": 3}}


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    name: str
    count: int = 1


def prices(request: Request) -> dict[str, int]:
    return request.state.prices


@app.get("/items/{number}")
async def item(number: int, brief: bool = False):
    return {"number": number, "brief": brief}


@app.get("/in-a-thread/{number}")
def in_a_thread(number: int):
    return {"number": number}


@app.post("/orders", status_code=201)
async def order(order: Order, prices: dict[str, int] = Depends(prices)):  # noqa: B008
    if order.name not in prices:
        raise HTTPException(404, "no such thing")
    return {"total": prices[order.name] * order.count}

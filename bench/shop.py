"""A small shop in FastAPI, whose state is in memory, and bounded: `pronghorn bench.shop:app` serves it.

A catalog, a search, orders, pictures that are uploaded, an export that is streamed, and rooms to chat in.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError

PRODUCTS, PAGE, LINES = 1000, 20, 50
KEPT_ORDERS, LARGEST_PICTURE = 10_000, 1 << 20
ADJECTIVES = ("Blue", "Folding", "Heavy", "Light", "Old", "Quiet", "Round", "Small", "Steel", "Wooden")
NOUNS = ("Bench", "Bicycle", "Chair", "Clock", "Kettle", "Lamp", "Ladder", "Mirror", "Radio", "Table")
# Starlette's second one: to a socket that a send has found closed.
LEFT = (WebSocketDisconnect, RuntimeError)


class Product(BaseModel):
    """A product; the price is in cents."""

    id: int
    name: str
    price: int
    tags: list[str]


class Page(BaseModel):
    """Some of the catalog, and how many pages there are."""

    products: list[Product]
    page: int
    pages: int


class Line(BaseModel):
    """A product and its quantity."""

    product: int
    quantity: int = Field(ge=1, le=99)


class Cart(BaseModel):
    """A customer's products."""

    customer: str = Field(min_length=1, max_length=100)
    lines: list[Line] = Field(min_length=1, max_length=20)


class Order(Cart):
    """A placed order; the total is in cents."""

    id: int
    total: int


class Picture(BaseModel):
    """The record of an upload."""

    product: int
    size: int
    sha256: str


class Message(BaseModel):
    """A message in a room."""

    sender: str
    text: str = Field(max_length=1000)


def assortment() -> dict[int, Product]:
    """The same products in every process."""
    source = random.Random(1)
    products = {}
    for number in range(1, PRODUCTS + 1):
        adjective, noun = source.choice(ADJECTIVES), source.choice(NOUNS)
        tags = [adjective.lower(), noun.lower()]
        name = f"{adjective} {noun} {number}"
        products[number] = Product(id=number, name=name, price=source.randrange(100, 100_000), tags=tags)
    return products


app = FastAPI(title="Shop")
products = assortment()
orders: OrderedDict[int, Order] = OrderedDict()
pictures: dict[int, Picture] = {}
rooms: dict[str, set[WebSocket]] = {}
order_numbers = itertools.count(1)


@app.get("/")
async def welcome() -> dict[str, str]:
    """Say that the shop is open."""
    return {"shop": "open"}


@app.get("/products")
async def catalog(page: Annotated[int, Query(ge=1)] = 1) -> Page:
    """One page of the catalog."""
    first = (page - 1) * PAGE
    shown = list(itertools.islice(products.values(), first, first + PAGE))
    return Page(products=shown, page=page, pages=-(-len(products) // PAGE))


@app.get("/products/{number}")
async def product(number: int) -> Product:
    """One product."""
    return known(number)


@app.put("/products/{number}/picture")
async def upload(number: int, request: Request) -> Picture:
    """Take the body as a product's picture, as it comes; its digest is kept."""
    known(number)
    size, digest = 0, hashlib.sha256()
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_PICTURE:
            raise HTTPException(413, "The picture is too large")
        digest.update(part)
    pictures[number] = picture = Picture(product=number, size=size, sha256=digest.hexdigest())
    return picture


@app.get("/search")
async def search(q: Annotated[str, Query(min_length=2)]) -> list[Product]:
    """The first products whose name has the words."""
    words = q.lower().split()
    found = (each for each in products.values() if all(word in each.name.lower() for word in words))
    return list(itertools.islice(found, PAGE))


@app.post("/orders", status_code=201)
async def order(cart: Cart) -> Order:
    """Order what is in the cart; the oldest orders are forgotten."""
    number, total = next(order_numbers), sum(known(line.product).price * line.quantity for line in cart.lines)
    orders[number] = placed = Order(id=number, total=total, **cart.model_dump())
    if len(orders) > KEPT_ORDERS:
        orders.popitem(last=False)
    return placed


@app.get("/orders/{number}")
async def placed(number: int) -> Order:
    """An order that was placed."""
    if number not in orders:
        raise HTTPException(404, "There is no such order")
    return orders[number]


@app.get("/export.csv")
async def export() -> StreamingResponse:
    """The whole catalog, a block of lines at a time."""

    async def blocks() -> AsyncIterator[str]:
        yield "id,name,price,tags\n"
        for first in range(1, PRODUCTS + 1, LINES):
            block = (products[number] for number in range(first, min(first + LINES, PRODUCTS + 1)))
            yield "".join(f"{each.id},{each.name},{each.price},{' '.join(each.tags)}\n" for each in block)

    return StreamingResponse(blocks(), media_type="text/csv")


@app.websocket("/chat/{room}")
async def chat(socket: WebSocket, room: str) -> None:
    """Send every message to everybody in the room."""
    await socket.accept()
    present = rooms.setdefault(room, set())
    present.add(socket)
    try:
        while True:
            said = Message.model_validate_json(await socket.receive_text()).model_dump_json()
            for each in tuple(present):
                # The task of a closed socket notices the end too.
                with suppress(*LEFT):
                    await each.send_text(said)
    except ValidationError:
        await socket.close(1008)
    except LEFT:
        pass
    finally:
        present.discard(socket)
        if not present:
            rooms.pop(room, None)


def known(number: int) -> Product:
    """The product of a number; 404 if there is none."""
    if number not in products:
        raise HTTPException(404, "There is no such product")
    return products[number]

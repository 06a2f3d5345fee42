"""Strawberry: GraphQL over HTTP, and its page."""

import asyncio
from collections.abc import AsyncIterator

import strawberry
from strawberry.asgi import GraphQL


@strawberry.type
class Query:
    @strawberry.field
    def word(self, name: str = "nobody") -> str:
        return f"hello {name}"

    @strawberry.field
    async def failing(self) -> int | None:
        raise ValueError("the application's own fault")


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def double(self, number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def numbers(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number


app = GraphQL(strawberry.Schema(Query, Mutation, Subscription))

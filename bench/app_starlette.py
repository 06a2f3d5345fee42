"""A Starlette application with one JSON route."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    """Answer a small object."""
    return JSONResponse({"message": "Hello, world!"})


app = Starlette(routes=[Route("/json", hello)])

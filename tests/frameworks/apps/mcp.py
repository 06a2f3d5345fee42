"""The MCP SDK's streamable HTTP application: sessions, results as events, progress, a stream that stays open."""

from mcp.server import mcpserver

server = mcpserver.MCPServer("matrix", version="1")


@server.tool()
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@server.tool()
async def count(to: int, context: mcpserver.Context) -> str:
    """Count, and tell how far."""
    for number in range(to):
        await context.report_progress(number, to)
    return "counted"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("the application's own fault")


@server.resource("word://{name}")
def word(name: str) -> str:
    """A word."""
    return f"hello {name}"


app = server.streamable_http_app()

"""A lifespan that succeeds, for applications that do nothing in theirs."""


async def live(receive, send):
    """Answer the lifespan's events."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

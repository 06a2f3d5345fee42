"""structlog as users configure it: a middleware logs each request, and server lines have the same format."""

import logging

import structlog

from pronghorn.protocols.utils import get_client_addr, get_path_with_query_string


def set_up_logging():
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    render = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=render))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    for name, propagates in (("uvicorn", True), ("uvicorn.error", True), ("uvicorn.access", False)):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = propagates


set_up_logging()
log = structlog.stdlib.get_logger("api.access")


async def answer(scope, receive, send):
    structlog.contextvars.bind_contextvars(request_id="1")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def app(scope, receive, send):
    """Run `answer` and log the request with its bound context variables."""
    assert scope["type"] == "http"
    structlog.contextvars.clear_contextvars()
    status = 500

    async def noted_send(message):
        nonlocal status
        status = message.get("status", status)
        await send(message)

    try:
        await answer(scope, receive, noted_send)
    finally:
        url = get_path_with_query_string(scope)
        line = f'{get_client_addr(scope)} - "{scope["method"]} {url}" {status}'
        log.info(line, http={"url": url, "status_code": status})

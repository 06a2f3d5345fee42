"""Worker classes for `gunicorn -k`, under uvicorn's names."""

from typing import Any, ClassVar

from pronghorn.gunicorn import Worker as UvicornWorker


class UvicornH11Worker(UvicornWorker):
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "asyncio", "http": "h11"}


__all__ = ["UvicornH11Worker", "UvicornWorker"]

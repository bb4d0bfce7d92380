"""The JSON of a request, and whether whoever sent it is still there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event
from typing import Any, NoReturn

from starlette.requests import Request

from tasks.serving.errors import RequestError

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a letter as JSON escapes it; two that belong together are a letter."""


async def json_of(request: Request) -> Any:
    """The body of a request.

    Raises:
        RequestError: it is not JSON, or holds what no text and no number is.
    """
    body = await request.body()
    try:
        read = json.loads(body, parse_constant=_no_number)
        if SURROGATE.search(body):
            json.dumps(read, ensure_ascii=False).encode()  # half a letter alone would fail wherever it came out again
    except (ValueError, RecursionError) as error:
        reason = "it holds half a letter" if isinstance(error, UnicodeEncodeError) else error
        raise RequestError(f"the body is not JSON ({reason})", code="invalid_json") from error
    return read


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


class Gone:
    """Whether the client has left. Known to the event loop and to threads."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        """It has."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether it has; to be asked from any thread."""
        return self._event.is_set()

    async def __call__(self) -> bool:
        """Whether it has."""
        return self._event.is_set()


@asynccontextmanager
async def watched(request: Request) -> AsyncIterator[Gone]:
    """Watch for the end of a client's connection, once its body has been read."""
    gone = Gone()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield gone
    finally:
        watching.cancel()

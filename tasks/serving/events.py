"""Server-sent events."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any


def line(data: dict[str, Any]) -> str:
    """An event of a chat completion, which has no name."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def event(data: dict[str, Any]) -> str:
    """An event of a response, named by its type."""
    return f"event: {data['type']}\n{line(data)}"


async def joined(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """One event, and those after it; the iterator is closed with this one."""
    async with aclosing(rest):  # type: ignore[type-var]
        yield first
        async for one in rest:
            yield one

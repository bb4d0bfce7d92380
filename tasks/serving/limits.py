"""Bounds on the bodies of requests, held before a body is in memory: on one, on all together, and on how slow it is."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.serving.errors import RequestError
from tasks.serving.refusals import refuse

SLOWEST = 32 * 1024
"""Bytes a second that a body must come with on the average, once its first seconds are over."""


@dataclass
class BodyLimits:
    """What bodies may cost."""

    most_bytes: int
    """Of one."""
    held_bytes: int
    """Of all that have not been answered, together."""
    seconds: float
    """A body may pause, and be behind the slowest rate."""
    held: int = 0
    """Bytes that are in memory now."""


class LimitBodies:
    """ASGI middleware: a body that is too large, too slow or too much beside the others is refused as it comes."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what comes of its body; it is held until it has been answered."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limits = self.limits
        clock = asyncio.get_running_loop().time
        begun = clock()
        read, whole, answering = 0, False, False

        async def counted() -> Message:
            nonlocal read, whole
            if whole:
                return await receive()
            now = clock()
            try:
                async with asyncio.timeout_at(min(now, begun + read / SLOWEST) + limits.seconds):
                    message = await receive()
            except TimeoutError:
                raise RequestError(
                    f"the body came too slowly: {read:,} bytes in {clock() - begun:.0f} seconds",
                    code="request_timeout",
                    status=408,
                ) from None
            came = len(message.get("body", b""))
            read += came
            limits.held += came
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            if read > limits.most_bytes:
                raise _too_large(limits.most_bytes)
            if limits.held > limits.held_bytes:
                raise RequestError(
                    f"requests of {limits.held / 2**20:.0f} MiB are being held, as many as this server takes; "
                    "ask again in a moment",
                    code="rate_limit_exceeded",
                    status=429,
                )
            return message

        async def watched(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        declared = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if declared.isdigit() and int(declared) > limits.most_bytes:
                raise _too_large(limits.most_bytes)
            await self.app(scope, counted, watched)
        except RequestError as error:
            if answering:
                raise
            await refuse(error, scope, receive, send)
        finally:
            limits.held -= read


def _too_large(most: int) -> RequestError:
    message = f"the request is larger than {most / 2**20:.0f} MiB; send a part of the image, or a coarser one"
    return RequestError(message, code="request_too_large", status=413)

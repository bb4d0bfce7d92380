"""A bound on the size of a request's body, held before the body is in memory."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.serving.errors import body


class _TooLargeError(Exception):
    """The body has grown past the limit."""


class LimitBody:
    """ASGI middleware: a body of more than `max_bytes` bytes is refused, whether its length was declared or not."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what comes."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        read, answering = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_bytes and not answering:
                raise _TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            if declared.isdigit() and int(declared) > self.max_bytes:
                raise _TooLargeError
            await self.app(scope, counted, watched)
        except _TooLargeError:
            message = f"the request is larger than {self.max_bytes / 2**20:.0f} MiB; send a smaller piece of the image"
            response = JSONResponse(body(message, code="request_too_large", status=413), status_code=413)
            await response(scope, receive, send)

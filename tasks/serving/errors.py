"""Errors as OpenAI's API writes them, so that its clients raise the right exception with our sentence in it."""

from typing import Any

from tasks.core.errors import EarthloomError


class RequestError(EarthloomError):
    """A request that cannot be answered as it stands: what is wrong, where in it, and what is allowed."""

    def __init__(self, message: str, *, code: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.param, self.status = code, param, status


class BusyError(RequestError):
    """As many questions are waiting as the server lets wait."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} questions are being answered or waiting, as many as this server takes; ask again in a moment",
            code="rate_limit_exceeded",
            status=429,
        )


def body(message: str, *, code: str, param: str | None = None, status: int = 400) -> dict[str, Any]:
    """`{"error": {...}}` of OpenAI's API."""
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},  # the rest of a slow body is not waited for
    429: {"Retry-After": "2"},
    503: {"Retry-After": "2"},
}
"""Headers that belong to a status."""

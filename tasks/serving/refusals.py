"""An error as a response, from a route or from what stands before the routes."""

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tasks.serving.errors import HEADERS, RequestError, body


def response(error: RequestError) -> JSONResponse:
    """The error in OpenAI's form."""
    content = body(str(error), code=error.code, param=error.param, status=error.status)
    return JSONResponse(content, error.status, HEADERS.get(error.status))


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with an error."""
    await response(error)(scope, receive, send)

"""The same server over streamable HTTP, behind the bounds and the checks of the endpoint."""

from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tasks.assistant.desk import Desk
from tasks.assistant.server import make_server
from tasks.serving.access import CheckAccess, is_loopback
from tasks.serving.errors import RequestError
from tasks.serving.limits import BodyLimits, LimitBodies
from tasks.serving.refusals import response

MOST_BYTES = 4 * 2**20
"""Of a request; images are not sent but named."""
HELD_BYTES = 64 * 2**20
BODY_SECONDS = 20.0
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def web_app(desk: Desk, host: str, keys: tuple[str, ...], hosts: tuple[str, ...], origins: tuple[str, ...]) -> ASGIApp:
    """The application, at /mcp.

    Args:
        desk: of the tools.
        host: address it listens on.
        keys: one of them must come as a bearer token; none is needed if there are none.
        hosts: names of the server, beside localhost and numbers.
        origins: pages elsewhere that may ask.
    """
    app = make_server(desk).streamable_http_app(
        host=host, max_request_body_size=MOST_BYTES, transport_security=_security(host, hosts, origins)
    )
    app.add_exception_handler(RequestError, _refused)
    limited = LimitBodies(app, BodyLimits(MOST_BYTES, HELD_BYTES, BODY_SECONDS))
    # A stranger's body is not read.
    return CheckAccess(limited, keys, hosts, origins)


def _security(host: str, hosts: tuple[str, ...], origins: tuple[str, ...]) -> TransportSecuritySettings:
    """The package's own check of Host and Origin, on loopback. It takes names one by one, and so cannot let through
    any number as `CheckAccess` does, which beyond loopback stands alone before it, with a key.
    """
    named = [*LOOPBACK, *hosts]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=is_loopback(host),
        allowed_hosts=[*named, *(f"{name}:*" for name in named)],
        allowed_origins=[*origins, *(f"http://{name}:*" for name in LOOPBACK)],
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return response(error)

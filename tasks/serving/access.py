"""Who may ask: a key, a name that the server goes by, and pages that it was not asked by behind a person's back."""

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.serving.errors import RequestError
from tasks.serving.refusals import refuse

OPEN = ("/", "/health", "/ready")
"""Routes that need no key: the page, which holds nothing, and what a supervisor asks."""


class CheckAccess:
    """ASGI middleware: refuses a request by its Host, its Origin or its key, before its body is read."""

    def __init__(
        self, app: ASGIApp, keys: Collection[str] = (), hosts: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        """Which requests are let through.

        Args:
            app: what they go on to.
            keys: one of them must come as a bearer token; none is needed if there are none.
            hosts: names of the server, beside localhost and addresses in numbers.
            origins: pages elsewhere that may ask, such as `https://maps.example.org`.
        """
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.hosts = {host.lower().rstrip(".") for host in hosts}
        self.origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            self.check(Headers(scope=scope), scope["path"])
        except RequestError as error:
            return await refuse(error, scope, receive, send)
        await self.app(scope, receive, send)

    def check(self, headers: Headers, path: str) -> None:
        """Refuse what may not ask.

        Raises:
            RequestError: says by which header.
        """
        host = headers.get("host", "")
        if not self._is_ours(host):
            # A page of a stranger whose name was made to lead here (DNS rebinding) sends that name.
            raise RequestError(
                f"Host is {host[:100]!r}, which is no name of this server; --allow-host adds one",
                code="misdirected_request",
                status=421,
            )
        origin = headers.get("origin")
        if origin is not None and not self._may_ask(origin, host):
            raise RequestError(
                f"Origin is {origin[:100]!r}: pages of other servers may not ask this one; --allow-origin lets one",
                code="origin_not_allowed",
                status=403,
            )
        if self.keys and path not in OPEN:
            self._check_key(headers.get("authorization"))

    def _is_ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname if _is_plain(host) else None
        if name is None:
            return False
        if name.rstrip(".") == "localhost" or name.rstrip(".") in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _may_ask(self, origin: str, host: str) -> bool:
        own = origin.lower().rstrip("/")
        return own in self.origins or own.removeprefix("http://").removeprefix("https://") == host.lower()

    def _check_key(self, authorization: str | None) -> None:
        kind, _, key = (authorization or "").partition(" ")
        given = key.strip().encode("utf-8", "replace")
        if kind.lower() != "bearer" or not given:
            message = "this server wants a key: send the header Authorization: Bearer <key>"
            raise RequestError(message, code="invalid_api_key", status=401)
        # All are compared, so that the time says nothing of which one is nearly right.
        if not sum(hmac.compare_digest(given, known) for known in self.keys):
            raise RequestError("the key is not one of this server's", code="invalid_api_key", status=401)


def _is_plain(host: str) -> bool:
    try:
        return bool(host) and not set(host) & set("/\\@?# ") and (urlsplit(f"//{host}").port or 0) >= 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

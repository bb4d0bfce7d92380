"""What Prometheus asks of a server: requests by route and status, beside what `tasks.serving.numbers` counts."""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.serving.numbers import Numbers

CONTENT_TYPE = CONTENT_TYPE_LATEST
ELSEWHERE = "other"
"""The route of a request that there is none for: its path is a stranger's, and would be a row of its own each time."""


class Requests:
    """Requests that were answered."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answered = Counter(
            "earthloom_http_requests",
            "Requests answered, by route and status",
            ["route", "status"],
            registry=self.registry,
        )

    def text(self, numbers: Numbers) -> bytes:
        """Everything, in the format of `CONTENT_TYPE`."""
        return generate_latest(self.registry) + generate_latest(numbers.registry)


class CountRequests:
    """ASGI middleware: counts answers, those of the middleware behind it too."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its answer."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route: Any = scope.get("route")
                self.requests.answered.labels(getattr(route, "path", ELSEWHERE), str(message["status"])).inc()
            await send(message)

        await self.app(scope, receive, counted)

"""uvicorn's connections, bounded in number and in the time they may stay without a request."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tasks.serving.errors import body

_BODY = json.dumps(body("this server has as many connections as it takes", code="unavailable", status=503)).encode()
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 2\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


def bounded(most: int, seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol with two bounds that it has not.

    Args:
        most: connections at a time; one more is answered with 503 and closed.
        seconds: a connection may stay without a whole header, or sending the rest of a body that was refused.
    """

    class Bounded(H11Protocol):
        _idle: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.write(BUSY)
                transport.close()
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait()
            # The next request may have come already, behind the one that was answered.
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._stop_waiting()
            self._idle = self.loop.call_later(seconds, self.transport.close)

        def _stop_waiting(self, *_: Any) -> None:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None

    return Bounded

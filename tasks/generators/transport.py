"""HTTP to a model server, bounded: so many bytes of an answer, none of them packed, and nowhere but to the server."""

from collections.abc import AsyncIterator

import httpx2 as httpx  # what the client of openai speaks

POOL = 4
"""Connections of one pool, about."""


class TooLongError(Exception):
    """An answer has more bytes than are read."""


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, largest: int) -> None:
        self._stream, self._largest = stream, largest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._stream:
            read += len(chunk)
            if read > self._largest:
                raise TooLongError(f"the answer is longer than the {self._largest:,} bytes that are read")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx.AsyncBaseTransport):
    """Refuses an answer that is longer than `largest` bytes, before it is in memory, or that is packed."""

    def __init__(self, largest: int, connections: int) -> None:
        self._largest = largest
        # A pool looks at each of its connections for every request: a few small ones cost less than a large one.
        context = httpx.create_ssl_context()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=POOL + 1)  # the slots bound them
        count = -(-connections // POOL)
        self._pools = [httpx.AsyncHTTPTransport(verify=context, limits=limits) for _ in range(count)]
        self._under_way = [0] * count

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request; see the class."""
        request.headers["Accept-Encoding"] = "identity"  # a few packed bytes unpack to any number
        place = self._under_way.index(min(self._under_way))
        self._under_way[place] += 1
        try:
            return await self._bounded(await self._pools[place].handle_async_request(request))
        finally:
            self._under_way[place] -= 1

    async def _bounded(self, response: httpx.Response) -> httpx.Response:
        packed = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        announced = response.headers.get("Content-Length", "")
        if packed or (announced.isdigit() and int(announced) > self._largest):
            await response.aclose()
            what = "packed, though it was asked not to be" if packed else f"of {int(announced):,} bytes"
            raise TooLongError(f"the answer is {what}; {self._largest:,} plain bytes are read")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, self._largest)
        return response


def make_client(largest: int, connections: int, seconds: float) -> httpx.AsyncClient:
    """A client that follows no redirect and asks no proxy.

    Args:
        largest: bytes of an answer.
        connections: at once; a request that waits for one in a pool that is too small looks like a server that hangs.
        seconds: for a connection, and between two bytes.
    """
    return httpx.AsyncClient(
        transport=BoundedTransport(largest, connections),
        timeout=httpx.Timeout(seconds, connect=min(seconds, 10.0)),
        follow_redirects=False,
        trust_env=False,
    )

"""The gate before the object store, for a host that others reach: it passes on the S3 port and no other.

Where SeaweedFS binds S3 it also binds a port at which its parts set each other's keys, and asks nobody there for one.
So it stays on loopback as a whole, and what comes from elsewhere is carried to S3 byte by byte: signatures hold.
"""

import asyncio
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from flows.services.daemon import Daemon
from flows.services.settings import Settings

NAME = "gate"
START_TIMEOUT = 60.0
GRACE = 10.0
CHUNK = 1 << 20
"""Bytes held of a connection at most, each way."""


def start(services: Path, settings: Settings) -> None:
    """Start it and wait until it listens.

    Raises:
        ServiceError: it does not start.
    """
    daemon = Daemon(services, NAME)
    words = [settings.host, str(settings.store_port), str(settings.s3_port)]
    process = daemon.start(
        [sys.executable, "-m", "flows.services.gate", *words],
        {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
    )
    daemon.wait(process, lambda: _listens(settings), START_TIMEOUT)


def stop(services: Path) -> bool:
    """End it; whether it ran."""
    return Daemon(services, NAME).stop(GRACE)


def _listens(settings: Settings) -> bool:
    try:
        with socket.create_connection((settings.reachable_host, settings.store_port), timeout=5):
            return True
    except OSError:
        return False


async def serve(host: str, port: int, inner: int) -> None:
    """Carry every connection to `host` and `port` to `inner` on loopback, until cancelled."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside, outward = await asyncio.open_connection("127.0.0.1", inner, limit=CHUNK)
        except OSError:  # the store is down: who asks sees a closed connection, and tries again
            writer.close()
            return
        await asyncio.gather(_pipe(reader, outward), _pipe(inside, writer))
        for end in (writer, outward):
            end.close()

    server = await asyncio.start_server(carry, host, port, limit=CHUNK)
    async with server:
        await server.serve_forever()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        return
    writer.transport.abort()  # one side broke off: the other is not to take half for the whole


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

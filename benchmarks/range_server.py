"""A file server on loopback that answers ranges, counts what it is asked for, and may be far away.

    python -m benchmarks.range_server FOLDER [--delay 0.03]

It prints its address; `/count` answers with what was asked since the last `/count`, as JSON.
"""

import argparse
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Server(ThreadingHTTPServer):
    """Files below a folder."""

    daemon_threads = True

    def __init__(self, folder: Path, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.delay = folder, delay
        self.lock = threading.Lock()
        self.count = {"requests": 0, "bytes": 0}

    def handle_error(self, *_: Any) -> None:
        """A client that went away is none of ours."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        """Without waiting for a full packet, which would be a delay of its own."""
        super().setup()
        self.connection.setsockopt(6, 1, 1)

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        """A file, or the range of one."""
        if self.path == "/count":
            with self.server.lock:
                found = json.dumps(self.server.count).encode()
                self.server.count = {"requests": 0, "bytes": 0}
            self._send(200, found)
            return
        time.sleep(self.server.delay)
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self._send(404, b"")
            return
        size, status, first, last = path.stat().st_size, 200, 0, path.stat().st_size - 1
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            status, first, last = 206, int(start), min(int(end or size - 1), size - 1)
        with path.open("rb") as file:
            file.seek(first)
            content = file.read(last - first + 1) if self.command == "GET" else b""
        with self.server.lock:
            self.server.count["requests"] += 1
            self.server.count["bytes"] += len(content)
        self._send(status, content, last - first + 1, f"bytes {first}-{last}/{size}" if status == 206 else None)

    do_HEAD = do_GET  # noqa: N815

    def _send(self, status: int, content: bytes, length: int | None = None, span: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    given = parser.parse_args()
    server = Server(given.folder, given.delay)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

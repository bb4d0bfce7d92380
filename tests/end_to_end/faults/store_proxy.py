"""A real HTTP proxy before the object store, which spoils what passes: a remote that refuses, is slow, full or away."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'
SLOW = 4.0
"""Seconds before each answer of a slow store."""


class Proxy:
    """Passes requests on to a store on loopback, byte by byte, so that their signatures hold."""

    def __init__(self, port: int) -> None:
        self.fault = ""
        """`refusing`, `full`, `slow`, `cut`, `down`; nothing for none."""
        self.spoiled = 0
        """Requests that have met the fault."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def forward(self) -> None:
                writes = self.command in ("PUT", "POST")
                length = int(self.headers.get("Content-Length") or 0)
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    return self.answer(501, b"no chunks")
                if proxy.fault == "down" or (proxy.fault == "cut" and writes):
                    proxy.spoiled += 1
                    self.rfile.read(length // 2)
                    self.close_connection = True
                    return self.connection.close()
                body = self.rfile.read(length) if length else None
                if proxy.fault == "refusing" or (proxy.fault == "full" and writes):
                    proxy.spoiled += 1
                    if proxy.fault == "full":
                        return self.answer(507, ERROR.format("InsufficientStorage", "no space left").encode())
                    return self.answer(503, ERROR.format("SlowDown", "please reduce your request rate").encode())
                if proxy.fault == "slow":
                    proxy.spoiled += 1
                    time.sleep(SLOW)
                inner = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                try:
                    inner.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        if name.lower() not in ("connection", "expect"):
                            inner.putheader(name, value)
                    inner.endheaders(body)
                    answer = inner.getresponse()
                    content = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                            self.send_header(name, value)
                    size = answer.getheader("Content-Length") if self.command == "HEAD" else None
                    self.send_header("Content-Length", size or str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                finally:
                    inner.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward  # noqa: N815

            def answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Connections that break are what this is for."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

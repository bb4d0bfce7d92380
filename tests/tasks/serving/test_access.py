"""Who may ask, and what a request may cost before it has been read: a real server, and sockets that misbehave."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import openai
import psutil
import pytest

from tasks.core.data_url import png_url
from tests.fixtures.serving import ROOT, served
from tests.tasks.serving.test_app import user

pytestmark = pytest.mark.slow
KEY = "correct-horse"


@pytest.fixture(scope="module")
def guarded(tiny_checkpoint: Path) -> Iterator[str]:
    """A server with keys, a name, a page elsewhere that may ask, and little patience."""
    options = {"--api-key": KEY, "--allow-host": "earth.example.org", "--allow-origin": "https://maps.example.org"}
    options |= {"--most-mb": "8", "--held-mb": "16", "--body-seconds": "2", "--header-seconds": "2"}
    flat = [text for pair in options.items() for text in pair]
    with served(tiny_checkpoint, *flat, "--connections", "40") as address:
        yield address


def asked(address: str, path: str = "/v1/models", **headers: str) -> httpx.Response:
    known = {"authorization": f"Bearer {KEY}"}
    return httpx.get(address + path, headers={**known, **headers}, trust_env=False)


def test_without_its_key_nothing_but_the_page_and_its_health_is_answered(guarded: str) -> None:
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer"},
    ):
        answer = httpx.get(f"{guarded}/v1/models", headers=headers, trust_env=False)
        assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
        assert KEY not in answer.text and "wrong" not in answer.text
    for path in ("/metrics", "/quicklook", "/v1/chat/completions", "/v1/responses"):
        assert httpx.post(guarded + path, json={}, trust_env=False).status_code == 401
    assert all(httpx.get(guarded + path, trust_env=False).status_code == 200 for path in ("/", "/health", "/ready"))
    assert asked(guarded).status_code == 200
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{guarded}/v1", api_key="none", max_retries=0).models.list()


def test_a_name_that_is_not_the_server_s_is_refused(guarded: str) -> None:
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost:80@evil.example",
        "a b",
    ):
        assert asked(guarded, host=host).status_code in (400, 421), host
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000", "192.0.2.7:80", "earth.example.org"):
        assert asked(guarded, host=host).status_code == 200, host


def test_pages_of_other_servers_may_not_ask_unless_they_are_named(guarded: str) -> None:
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        answer = asked(guarded, origin=origin)
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "origin_not_allowed"
    assert asked(guarded, origin=guarded).status_code == 200
    named = asked(guarded, origin="https://maps.example.org")
    assert named.status_code == 200 and named.headers["access-control-allow-origin"] == "https://maps.example.org"
    preflight = {
        "origin": "https://maps.example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type",
    }
    answer = httpx.options(f"{guarded}/v1/chat/completions", headers=preflight, trust_env=False)
    assert answer.status_code == 200 and "POST" in answer.headers["access-control-allow-methods"]


def test_beyond_loopback_a_key_is_needed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "earthloom", "serve", "--host", "0.0.0.0", "--model", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert ended.returncode == 1 and "EARTHLOOM_API_KEY" in ended.stderr and "0.0.0.0" in ended.stderr


def connected(address: str) -> socket.socket:
    split = urlsplit(address)
    assert split.hostname and split.port
    made = socket.create_connection((split.hostname, split.port), timeout=30)
    return made


def head(length: int, path: str = "/v1/chat/completions") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {KEY}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def until_closed(connection: socket.socket) -> bytes:
    """All that comes before the server closes the connection."""
    came = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            came += part
    return came


def test_a_connection_without_a_whole_header_is_closed(guarded: str) -> None:
    begun = time.monotonic()
    silent, dripping = connected(guarded), connected(guarded)
    dripping.sendall(b"GET / HTTP/1.1\r\nHost: local")
    threading.Timer(1, dripping.sendall, [b"host\r\nX-More: "]).start()
    assert until_closed(silent) == b"" and until_closed(dripping) == b""
    assert time.monotonic() - begun < 10


def test_a_body_that_does_not_come_is_given_up(guarded: str) -> None:
    with connected(guarded) as connection:
        connection.sendall(head(4 * 2**20) + b"{")
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answer


def test_the_rest_of_a_body_that_was_refused_is_not_waited_for(guarded: str) -> None:
    with connected(guarded) as connection:
        connection.sendall(head(64 * 2**20) + b"{")
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_unfinished_bodies_cost_no_more_memory_than_is_set_aside_for_them(guarded: str) -> None:
    """16 bodies of 7 MiB, each but for its last byte, where 16 MiB may be held."""
    server = process_at(guarded)
    before = server.memory_info().rss
    connections = [connected(guarded) for _ in range(16)]
    most = before
    for connection in connections:
        with contextlib.suppress(OSError):  # refused in the middle of it
            connection.sendall(head(7 * 2**20) + b"x" * (7 * 2**20 - 1))
        most = max(most, server.memory_info().rss)
    statuses = [until_closed(connection)[9:12] for connection in connections]
    assert statuses.count(b"429") >= 10 and set(statuses) <= {b"429", b"408"}
    assert most - before < 64 * 2**20
    assert asked(guarded).status_code == 200


def process_at(address: str) -> psutil.Process:
    """The process that listens at an address."""
    port = urlsplit(address).port
    (found,) = [
        process
        for process in psutil.process_iter()
        if any(one.laddr.port == port and one.status == "LISTEN" for one in _connections(process))
    ]
    return found


def shown(url: str) -> dict[str, Any]:
    """A picture as a part of a message."""
    return {"type": "image_url", "image_url": {"url": url}}


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return process.net_connections("tcp")
    except psutil.Error:
        return []


def test_beyond_those_it_takes_a_connection_is_turned_away_at_once(guarded: str) -> None:
    held = [connected(guarded) for _ in range(44)]
    turned_away = until_closed(held[-1])
    assert turned_away.startswith(b"HTTP/1.1 503 ")
    assert json.loads(turned_away.partition(b"\r\n\r\n")[2])["error"]["type"] == "server_error"
    for connection in held[:-1]:
        until_closed(connection)
    assert asked(guarded).status_code == 200


def test_what_was_answered_is_counted_for_prometheus(guarded: str) -> None:
    asked(guarded, "/nowhere/at/all")
    text = asked(guarded, "/metrics").text
    assert 'earthloom_http_requests_total{route="other",status="404"}' in text
    assert 'earthloom_http_requests_total{route="/v1/models",status="200"}' in text and "/nowhere" not in text
    assert "earthloom_rows_in_use 0.0" in text


def test_an_answer_that_is_being_written_when_the_server_is_stopped_is_written_to_its_end(tmp_path: Path) -> None:
    """The sample's own checkpoint, which writes at length about a picture of noise."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    asked = {
        "model": "earthdial",
        "stream": True,
        "temperature": 2,
        "seed": 1,
        "messages": [user("Which kind of cover dominates the image?", shown(png_url(pixels)))],
    }
    with served(ROOT / "samples" / "start" / "tiny", "--max-new-tokens", "400") as address:
        server = process_at(address)
        with httpx.stream("POST", f"{address}/v1/chat/completions", json=asked, trust_env=False, timeout=60) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            server.terminate()
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]" and '"finish_reason": "' in rest[-2]
        server.wait(timeout=60)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/ready", trust_env=False)

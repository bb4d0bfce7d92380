"""The same tools over HTTP: who may ask, and a real client with a key."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.assistant import GROUND, ROOT, listening, over_http

pytestmark = pytest.mark.slow
KEY = "correct-horse"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def url(reach: list[str | Path]) -> Iterator[str]:
    """Where a server with a key answers."""
    with listening(ROOT, *reach, key=KEY) as address:
        yield address


def posted(url: str, **headers: str) -> httpx.Response:
    known = {"authorization": f"Bearer {KEY}", "accept": "application/json, text/event-stream"}
    return httpx.post(url, json=PING, headers={**known, **headers}, trust_env=False)


def test_a_client_with_the_key_finds_cuts_and_looks(url: str) -> None:
    with over_http(url, KEY) as client:
        scene = client.ask("search_scenes", **GROUND)["scenes"][0]["scene"]
        chip = client.ask("cut_chip", scene=scene, lon=12.6, lat=52.49, size=32, bands=["B04", "B03", "B02"])
        (picture,) = client.of("read_resource", chip["pictures"][0]).contents
        assert picture.mime_type == "image/png" and len(picture.blob) > 500


def test_without_the_key_or_under_another_name_nothing_is_answered(url: str) -> None:
    for wrong in ("", "Bearer wrong", f"Basic {KEY}"):
        assert posted(url, authorization=wrong).status_code == 401
    assert posted(url, host="evil.example").status_code == 421
    assert posted(url, origin="https://evil.example").status_code == 403
    huge = httpx.post(url, content=b" " * (5 << 20), headers={"authorization": f"Bearer {KEY}"}, trust_env=False)
    assert huge.status_code == 413
    assert posted(url).status_code not in (401, 403, 421)


def test_an_address_that_others_can_reach_wants_a_key(tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-m", "earthloom", "mcp", "--model", str(tiny_checkpoint), "--http", "--host", "0.0.0.0"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 1 and "EARTHLOOM_API_KEY" in ended.stderr and "Traceback" not in ended.stderr

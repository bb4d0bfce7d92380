"""One server for all tests of the endpoint that need no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.serving import served


@pytest.fixture(scope="session")
def url(tiny_checkpoint: Path) -> Iterator[str]:
    """Where a server of the tiny model answers; a request has at most 2 MiB, an answer 60 tokens."""
    with served(tiny_checkpoint, "--most-mb", "2", "--max-new-tokens", "60") as address:
        yield address

"""One server for all tests of the endpoint that need no other, and one model behind none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.serving.generation import Generator
from tasks.vlm.answerer import Answerer
from tests.fixtures.serving import served


@pytest.fixture(scope="session")
def url(tiny_checkpoint: Path) -> Iterator[str]:
    """Where a server of the tiny model answers; a request has at most 2 MiB, an answer 60 tokens."""
    with served(tiny_checkpoint, "--most-mb", "2", "--max-new-tokens", "60") as address:
        yield address


@pytest.fixture(scope="module")
def answerer(tiny_checkpoint: Path) -> Answerer:
    return Answerer(tiny_checkpoint)


@pytest.fixture
def generator(answerer: Answerer) -> Iterator[Generator]:
    made = Generator(answerer, waiting=64, batch=4)
    yield made
    made.drain(10)

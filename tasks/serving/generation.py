"""Answers for requests: a place in the queue, what may be asked of the tokens, the text as it comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tasks.serving.engine import Engine, StoppedError
from tasks.serving.errors import BusyError, RequestError
from tasks.serving.numbers import Numbers
from tasks.vlm.answerer import Answerer
from tasks.vlm.network import Ask, Part
from tasks.vlm.sampling import NotHonouredError, Sampling, TokenLogprob

__all__ = ["Generated", "Generator", "Sampling", "TokenLogprob"]

POLL_SECONDS = 0.25
"""Seconds between two checks whether the client is still connected."""


@dataclass
class Generated:
    """What is known of an answer once it is complete."""

    prompt_tokens: int
    answer_tokens: int = 0
    """Without what ends it."""
    finish: Literal["stop", "length"] = "stop"
    cached_tokens: int = 0
    """Tokens of the prompt whose keys and values were at hand from a question before."""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """A row for each token, where they are wanted; those of a text are there when the text comes."""


class Generator:
    """A model that answers questions side by side; those beyond wait, up to `waiting` of them."""

    def __init__(self, answerer: Answerer, waiting: int = 64, batch: int = 8, kept_mb: int = 512) -> None:
        """Start the thread that decodes.

        Args:
            answerer: the model.
            waiting: questions that may wait for a row.
            batch: answers that are decoded together.
            kept_mb: most MiB that are kept of questions and images for those that follow; 0 for none.
        """
        self.answerer = answerer
        self.waiting = waiting
        self.numbers = Numbers()
        self.engine = Engine(answerer.network.side_by_side(batch, kept_mb * 2**20), self.numbers)
        self._inside = 0

    @property
    def inside(self) -> int:
        """Questions that are being answered or waiting."""
        return self._inside

    @property
    def alive(self) -> bool:
        """Whether questions are taken and answered."""
        return self.engine.alive

    def drain(self, seconds: float) -> None:
        """Take no more questions, give those that were taken so long to be answered, cut the rest."""
        self.engine.drain(seconds)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue.

        Raises:
            BusyError: the queue is full.
            StoppedError: nobody would answer.
        """
        try:
            self.engine.check()
            if self._inside >= self.engine.answers.rows + self.waiting:
                raise BusyError(self._inside)
        except RequestError:
            self.numbers.ended("refused")
            raise
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def check(self, sampling: Sampling) -> None:
        """Whether the tokens of an answer can be chosen so. A schema may take a second to read: not on the event loop.

        Raises:
            RequestError: the network cannot keep to it; names the field.
        """
        try:
            self.answerer.network.check(sampling)
        except NotHonouredError as error:
            raise _refused(error) from error

    async def answer(
        self, ask: Ask, sampling: Sampling, done: Generated, gone: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[str]:
        """The text of an answer as it is generated; `done` is filled in as it comes.

        Args:
            ask: of `Answerer.ask`.
            sampling: how tokens are chosen.
            done: filled in with the counts and why the answer ended.
            gone: whether the client has disconnected; generation is then cancelled.

        Raises:
            RequestError: the model failed, or cannot keep to what is asked of its tokens.
            StoppedError: the server stopped before the answer was complete.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Part] = asyncio.Queue()

        def put(part: Part) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(queue.put_nowait, part)

        try:
            prepared = await asyncio.to_thread(self.engine.answers.prepare, ask, sampling)
        except NotHonouredError as error:
            raise _refused(error) from error
        ticket = self.engine.submit(prepared, ask.prompt.tokens, put)
        try:
            async for part in self._parts(queue, gone):
                if part.stopped:
                    raise StoppedError(part.failed)
                if part.failed:
                    raise RequestError(f"the model failed: {part.failed}", code="generation_failed", status=500)
                done.answer_tokens, done.cached_tokens = part.tokens, part.cached
                done.logprobs += part.logprobs
                done.finish = part.finish or done.finish
                if part.text:
                    yield part.text
        finally:
            self.engine.cancel(ticket)

    async def _parts(self, queue: "asyncio.Queue[Part]", gone: Callable[[], Awaitable[bool]]) -> AsyncIterator[Part]:
        """What comes until the last of it, or until the client has left."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while True:
            part = None
            with suppress(TimeoutError):
                part = await asyncio.wait_for(queue.get(), POLL_SECONDS)
            if part is not None:
                yield part
                if part.last:
                    return
            if loop.time() - asked >= POLL_SECONDS:
                asked = loop.time()
                if await gone():
                    return


def _refused(error: NotHonouredError) -> RequestError:
    return RequestError(str(error), code="unsupported_value", param=error.param)

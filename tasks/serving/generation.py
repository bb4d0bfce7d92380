"""One answer at a time, token by token, on transformers' serving layer; and a bound on how many may wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import GenerationConfig

from tasks.serving.errors import BusyError, RequestError
from tasks.serving.thread import GenerationThread
from tasks.vlm.answerer import Answerer
from tasks.vlm.network import Ask

POLL_SECONDS = 0.25
"""Seconds between two checks whether the client is still connected."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen and where the answer ends; temperature 0 takes the likeliest."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    """Of drawn tokens; the same seed draws the same ones, whatever else is being answered."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer, and are no part of it."""
    top_logprobs: int | None = None
    """Likeliest tokens whose logarithms of probability are wanted beside each chosen token's; None for none at all."""
    json_schema: Mapping[str, Any] | None = None
    """Schema that the answer is to be JSON of; an empty one for any object."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer and how likely it was, as OpenAI's `logprobs.content` has them."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """(text, logarithm of probability) of the likeliest tokens at its place, the likeliest first."""


@dataclass
class Generated:
    """What is known of an answer once it is complete."""

    prompt_tokens: int
    answer_tokens: int = 0
    finish: Literal["stop", "length"] = "stop"
    cached_tokens: int = 0
    """Tokens of the prompt whose keys and values were at hand from a question before."""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    """A row for each token, where they are wanted."""


class Generator:
    """A model that answers one question after another; those that come meanwhile wait, up to `waiting` of them."""

    def __init__(self, answerer: Answerer, waiting: int) -> None:
        self.answerer = answerer
        self.waiting = waiting
        self._inside = 0
        self._thread = GenerationThread()

    @property
    def inside(self) -> int:
        """Questions that are being answered or waiting."""
        return self._inside

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue.

        Raises:
            BusyError: the queue is full.
        """
        if self._inside > self.waiting:
            raise BusyError(self._inside)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def sampling(self, asked: Sampling) -> Sampling:
        """How the tokens of an answer are to be chosen.

        Raises:
            RequestError: they were to be chosen as this network does not.
        """
        if asked.temperature > 0 and not self.answerer.network.samples:
            message = (
                f"temperature is {asked.temperature}, but this model always takes the likeliest token; set it to 0"
            )
            raise RequestError(message, code="unsupported_value", param="temperature")
        return asked

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return True

    async def answer(
        self, ask: Ask, sampling: Sampling, done: Generated, gone: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        """The text of an answer as it is generated; `done` is filled in with the last of it.

        Args:
            ask: of `Answerer.ask`.
            sampling: how tokens are chosen.
            done: filled in with the counts and why the answer ended.
            gone: whether the client has disconnected; generation is then cancelled.

        Raises:
            RequestError: the model failed.
        """
        running = self.answerer.network.start(self._thread, ask, self._config(sampling))
        try:
            while (delta := await self._next(running.queue, gone)) is not None:
                if not isinstance(delta, str):
                    raise RequestError(f"the model failed: {delta.msg}", code="generation_failed", status=500)
                yield delta
        finally:
            running.cancel()
        done.answer_tokens = running.tokens()
        done.finish = "length" if running.cut() else "stop"

    async def _next(self, queue: "asyncio.Queue[Any]", gone: Callable[[], Awaitable[bool]]) -> Any:
        while True:
            try:
                return await asyncio.wait_for(queue.get(), POLL_SECONDS)
            except TimeoutError:
                if await gone():
                    return None

    def _config(self, sampling: Sampling) -> GenerationConfig:
        given: GenerationConfig = self.answerer.model.generation_config
        chosen: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            chosen = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=given.eos_token_id,
            pad_token_id=given.pad_token_id,
            **chosen,
        )

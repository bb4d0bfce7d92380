"""One answer at a time, token by token, on transformers' serving layer; and a bound on how many may wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor
from transformers import GenerationConfig
from transformers.cli.serving.utils import GenerateManager

from tasks.serving.errors import BusyError, RequestError
from tasks.vlm.answerer import Answerer

PATIENCE = 0.25
"""Seconds between two looks at whether the client is still there."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; temperature 0 takes the likeliest."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0


@dataclass
class Generated:
    """What is known of an answer once it is complete."""

    prompt_tokens: int
    answer_tokens: int = 0
    finish: Literal["stop", "length"] = "stop"


class Generator:
    """A model that answers one question after another; those that come meanwhile wait, up to `waiting` of them."""

    def __init__(self, answerer: Answerer, waiting: int) -> None:
        self.answerer = answerer
        self.waiting = waiting
        self._inside = 0
        self._manager = GenerateManager()  # type: ignore[no-untyped-call]

    @property
    def inside(self) -> int:
        """Questions that are being answered or waiting."""
        return self._inside

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue.

        Raises:
            BusyError: there is none.
        """
        if self._inside > self.waiting:
            raise BusyError(self._inside)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def answer(
        self, inputs: dict[str, Tensor], sampling: Sampling, done: Generated, gone: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        """The text of an answer as it is generated; `done` is filled in with the last of it.

        Args:
            inputs: of `Answerer.inputs`.
            sampling: how tokens are chosen.
            done: filled in with the counts and why the answer ended.
            gone: whether nobody waits for the answer any more; generation is then given up.

        Raises:
            RequestError: the model failed.
        """
        queue, streamer = self._manager.generate_streaming(
            self.answerer.model, self.answerer.tokenizer, inputs, self._config(sampling), request_id=""
        )
        try:
            while (delta := await self._next(queue, gone)) is not None:
                if not isinstance(delta, str):
                    raise RequestError(f"the model failed: {delta.msg}", code="generation_failed", status=500)
                yield delta
        finally:
            streamer.cancel()
        done.answer_tokens = streamer.total_tokens
        done.finish = "length" if streamer.total_tokens >= sampling.max_new_tokens else "stop"

    async def _next(self, queue: "asyncio.Queue[Any]", gone: Callable[[], Awaitable[bool]]) -> Any:
        while True:
            try:
                return await asyncio.wait_for(queue.get(), PATIENCE)
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

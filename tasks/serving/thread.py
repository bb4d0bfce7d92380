"""The one thread that answers are generated on: transformers' own, which also takes an answer that comes in steps."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any

from transformers.cli.serving.utils import GenerateManager

from tasks.vlm.network import Running, Step


@dataclass(frozen=True)
class Failed:
    """What stands in a queue where an answer failed, as transformers' own error does."""

    msg: str


class GenerationThread(GenerateManager):
    """One of `tasks.vlm.network.ServingThread`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def generate_steps(self, steps: Iterator[Step]) -> Running:
        """Put what each step adds to an answer into a queue; the text of a step begins with that of the one before."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        cancelled, last = Event(), Step("", 0, False)

        def put(item: Any) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, item)

        def run() -> None:
            nonlocal last
            try:
                for step in steps:
                    if cancelled.is_set():
                        break
                    if added := step.text[len(last.text) :]:
                        put(added)
                    last = step
                put(None)
            except Exception as error:
                put(Failed(str(error)))

        self.submit(run)
        return Running(queue, cancelled.set, lambda: last.tokens, lambda: not last.ended)

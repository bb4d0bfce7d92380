"""Work that blocks, on a thread: it says how far it is, and ends soon after nobody waits for it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from anyio import from_thread, to_thread
from mcp.server.mcpserver import Context

from tasks.assistant.errors import LeftError

T = TypeVar("T")
Asker = Context[Any, Any]
"""Who called a tool."""


class Job:
    """A piece of work, as its thread sees it."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._left = threading.Event()

    def cancelled(self) -> bool:
        """Whether nobody waits for it."""
        return self._left.is_set()

    def leave(self) -> None:
        """Nobody does."""
        self._left.set()

    def step(self, done: int, total: int, what: str) -> None:
        """Say how far it is.

        Raises:
            LeftError: nobody waits for it.
        """
        if self.cancelled():
            raise LeftError("the call was cancelled")
        with suppress(RuntimeError):  # the connection is gone
            from_thread.run(self._asker.report_progress, done, total, what)


async def on_thread(asker: Asker, work: Callable[[Job], T]) -> T:
    """Run `work` on a thread; one that is left ends at its next step."""
    job = Job(asker)
    try:
        return await to_thread.run_sync(work, job, abandon_on_cancel=True)
    finally:
        job.leave()

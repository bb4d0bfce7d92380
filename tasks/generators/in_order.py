"""Work that waits for others, many at once, its results in the order of the items, a bounded number of them held."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    items: Iterable[T],
    work: Callable[[T], Coroutine[Any, Any, R]],
    ahead: int,
    finish: Callable[[], Awaitable[None]],
) -> Iterator[R]:
    """The result of `work` for each item, in order. Work goes on while a result is being used.

    Args:
        items: taken one by one, in the caller's thread, no further than `ahead` of what was given back.
        work: run in an event loop of its own thread; what it raises is raised here, and ends all other work.
        ahead: items that are begun and not given back yet.
        finish: awaited in that loop at the end, however it comes.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="asks", daemon=True)
    thread.start()
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            begun.append(asyncio.run_coroutine_threadsafe(work(item), loop))
            while begun and (len(begun) >= ahead or begun[0].done()):
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        asyncio.run_coroutine_threadsafe(_end(finish), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(finish: Callable[[], Awaitable[None]]) -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await finish()
    await asyncio.get_running_loop().shutdown_default_executor()

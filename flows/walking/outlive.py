"""A flow run outlives its worker: once nobody reads what it prints any more, nothing is printed, and the run goes on.

Its logs go to the server as before. Without this, the first line after the worker's death ends the run: rich, by which
Prefect's logs are printed, exits on a broken pipe.
"""

import os
import select
import stat
import threading
from contextlib import suppress
from functools import cache

PRINTED = (1, 2)
"""Descriptors: standard output and standard error."""


@cache
def outlive_the_worker() -> None:
    """From now on, print nowhere if who reads it is gone."""
    poll = select.poll()
    left = 0
    for number in PRINTED:
        with suppress(OSError):  # it is closed
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                poll.register(number, 0)  # of a pipe's end, poll says by itself that the other one is closed
                left += 1
    if left:
        threading.Thread(target=_watch, args=(poll, left), name="outlive", daemon=True).start()


def _watch(poll: "select.poll", left: int) -> None:
    while left:
        for number, _ in poll.poll():
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)
            poll.unregister(number)
            left -= 1

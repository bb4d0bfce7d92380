"""The processes that share a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from tasks.vlm.world import World

MAX_WAIT = timedelta(days=30)
"""That one process waits for another at the end of a run."""


@contextmanager
def joined() -> Iterator[World]:
    """The processes that torchrun started, or this one alone. They share files and nothing else, so gloo will do."""
    rank, size, local = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if size < 2:
        yield World()
        return
    from torch import distributed

    distributed.init_process_group("gloo", rank=rank, world_size=size, timeout=MAX_WAIT)
    try:
        yield World(rank, size, local_rank=local)
    finally:
        distributed.destroy_process_group()

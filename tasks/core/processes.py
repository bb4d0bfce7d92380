"""Jobs in the stage's own process, or over several processes of this machine.

Processes are those of the standard library, spawned: forked ones would inherit threads and connections of GDAL. One
that is killed takes the whole pool with it, and nobody knows whose fault it was: what was under way is then tried again
one job at a time.
"""

import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tasks.core import lifeline, log
from tasks.core.fan_out import TRIES, Job, Make, Result, Stores, Work, given_up, make_result

logger = logging.getLogger(__name__)
AHEAD = 2
"""Jobs under way for each process: one at work, one that waits for it."""
_given: list[tuple[Work, Stores, int]] = []
"""What this process was given, if it is a worker."""
_made: list[Make] = []
"""What it keeps open since its first job."""
_stack = ExitStack()


class _Here:
    """A job that is done when its result is asked for."""

    def __init__(self, make: Make, job: Job, stores: Stores) -> None:
        self._make, self._job, self._stores = make, job, stores

    def result(self) -> Result:
        return make_result(self._make, self._job, self._stores)


class _OwnProcess:
    most = 1

    def __init__(self, make: Make, stores: Stores) -> None:
        self._make, self._stores = make, stores

    def submit(self, job: Job) -> _Here:
        return _Here(self._make, job, self._stores)


@contextmanager
def own_process(work: Work, stores: Stores) -> Iterator[_OwnProcess]:
    """One job after the other, here."""
    with work.opened(1) as make:
        yield _OwnProcess(make, stores)


class _Awaited:
    """A job that a process of the pool does."""

    def __init__(self, pool: "Processes", job: Job) -> None:
        self.pool, self.job = pool, job
        self.future: Future[Result] | None = None

    def result(self) -> Result:
        return self.pool.result(self)


class Processes:
    """A pool that is made anew when one of its processes is killed."""

    def __init__(self, count: int, work: Work, stores: Stores) -> None:
        self._count, self._work, self._stores = count, work, stores
        self.most = AHEAD * count
        self._under_way: list[_Awaited] = []
        self._pool = self._new(count)

    def submit(self, job: Job) -> _Awaited:
        """Begin a job."""
        awaited = _Awaited(self, job)
        self._under_way.append(awaited)
        self._begin(awaited)
        return awaited

    def result(self, awaited: _Awaited) -> Result:
        """Wait for a job."""
        assert awaited.future is not None
        try:
            result = awaited.future.result()
        except BrokenProcessPool:
            self._one_by_one()
            result = awaited.future.result()
        self._under_way.remove(awaited)
        return result

    def close(self) -> None:
        """End the processes; what they have not begun is left undone."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, awaited: _Awaited) -> None:
        try:
            awaited.future = self._pool.submit(_do, awaited.job)
        except BrokenProcessPool as error:  # a process was killed, and nobody has waited for a job since
            awaited.future = Future()
            awaited.future.set_exception(error)

    def _one_by_one(self) -> None:
        """Find out which job takes its process with it: all that is not done is done alone, in order."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        undone = [one for one in self._under_way if one.future is None or not _is_done(one.future)]
        logger.warning("a worker was killed: %d jobs that were under way are tried again, one by one", len(undone))
        alone = self._new(1)
        for one in undone:
            for _ in range(TRIES):
                future = alone.submit(_do, one.job)
                if not isinstance(future.exception(), BrokenProcessPool):
                    break
                alone.shutdown(wait=True)
                alone = self._new(1)
            else:
                future = Future()
                future.set_result(given_up(one.job, "was killed"))
            one.future = future
        alone.shutdown(wait=True)
        self._pool = self._new(self._count)

    def _new(self, count: int) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        given = (self._work, self._stores, self._count, os.getpid(), Path.cwd())
        return ProcessPoolExecutor(count, mp_context=spawn, initializer=_open, initargs=given)


def _is_done(future: Future[Result]) -> bool:
    return future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool)


@contextmanager
def open_processes(count: int, work: Work, stores: Stores) -> Iterator[Processes]:
    """So many processes of this machine."""
    pool = Processes(count, work, stores)
    try:
        yield pool
    finally:
        pool.close()


def _open(work: Work, stores: Stores, count: int, parent: int, folder: Path) -> None:
    """Make this process a worker."""
    lifeline.die_with(parent)
    os.chdir(folder)
    log.setup()
    _given[:] = [(work, stores, count)]


def _do(job: Job) -> Result:
    work, stores, count = _given[0]
    if not _made:  # here, and not at the start: what fails then would be taken for a process that was killed
        _made.append(_stack.enter_context(work.opened(count)))
    return make_result(_made[0], job, stores)

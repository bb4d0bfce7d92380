"""The fan-out inside a stage: jobs, one a scene, over the processes of this machine or the workers of a Dask cluster.

Results come in the order of the jobs, whoever makes them, and lie in a cache by what they were made from: the same
bytes with any number of workers. A bounded number of jobs is under way. What a worker that was killed had begun is
made again; a job that takes its worker with it each time is given up, by its name, and costs itself alone.

How many processes there are, and where a cluster answers, are variables of the environment, for they change no result.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tasks.core.code import code
from tasks.core.errors import ParamsError, SceneError
from tasks.core.results import Results

logger = logging.getLogger(__name__)
WORKERS = "EARTHLOOM_WORKERS"
"""Variable with the number of processes; not set, or 0: jobs are done in the stage's own process, one by one."""
DASK = "EARTHLOOM_DASK"
"""Variable with the address of a Dask scheduler, tcp:// or tls://; it comes before EARTHLOOM_WORKERS."""
TRIES = 3
"""Workers that a job may take with it before it is given up."""
WAITING = 1024
"""Results that may wait for one before them."""

Make = Callable[[Any, Path], bool]
"""Writes the files of a job's result, from its argument, to a folder; returns whether the result is good for all runs,
or for this one alone, since some of the scene could not be read and may be repaired.

Raises:
    SceneError: the scene cannot be used; this is the job's result then.
"""


class Work(Protocol):
    """What jobs have in common. It travels to the workers, so it is small, and of plain values."""

    @property
    def module(self) -> str:
        """Dotted name of the module that does the work: what it reaches is the code."""

    def opened(self, workers: int) -> AbstractContextManager[Make]:
        """What a worker, one of so many, keeps open from job to job."""


@dataclass(frozen=True)
class Job:
    """What is done with one scene."""

    name: str
    """For people."""
    key: str
    """Of the result."""
    argument: Any
    """Travels to a worker."""
    shared: bool = True
    """Whether the result may be taken from the cache, and is left there; else it is of this run alone."""


Result = Path | SceneError
"""The folder of a result's files, or why there are none."""


class Handle(Protocol):
    """A job under way."""

    def result(self) -> Result:
        """Wait for it.

        Raises:
            EarthloomError: the stage cannot go on.
        """


class Engine(Protocol):
    """Who does the jobs."""

    most: int
    """Jobs under way at once."""

    def submit(self, job: Job) -> Handle:
        """Begin a job."""


@dataclass(frozen=True)
class Stores:
    """Where results are left."""

    shared: Results
    own: Results
    """Of this run."""

    def of(self, job: Job) -> Results:
        """The one of a job."""
        return self.shared if job.shared else self.own


@cache
def code_of(module: str) -> str:
    """Hash of all code that a work's module reaches; found out once a process."""
    return code(module)


def fan_out(work: Work, jobs: Iterable[Job], own: Path) -> Iterator[tuple[Job, Result]]:
    """Do jobs; yields each with its result, in order. Where all are in the cache, no worker is started.

    Args:
        work: what the jobs have in common.
        jobs: taken as they are needed.
        own: folder for results that are of this run alone. It must stay until they have been used.

    Raises:
        EarthloomError: a server does not answer, or the cluster cannot be worked with.
    """
    stores = Stores(Results.shared(), Results(own))
    with ExitStack() as stack:
        engine: Engine | None = None
        waiting: deque[tuple[Job, Result | Handle]] = deque()
        under_way = 0
        for job in jobs:
            found = stores.of(job).find(job.key)
            if found is None:
                engine = engine or stack.enter_context(open_engine(work, stores))
                while under_way >= engine.most:
                    under_way -= not isinstance(waiting[0][1], Path)
                    yield _finished(*waiting.popleft())
                waiting.append((job, engine.submit(job)))
                under_way += 1
            else:
                waiting.append((job, found))
            while waiting and (isinstance(waiting[0][1], Path) or len(waiting) > WAITING):
                under_way -= not isinstance(waiting[0][1], Path)
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())


def open_engine(work: Work, stores: Stores) -> AbstractContextManager[Engine]:
    """The engine that the environment asks for.

    Raises:
        ParamsError: a variable is no number of processes, or no address.
        ClusterError: the cluster cannot be worked with; says why.
    """
    if address := os.environ.get(DASK):
        from tasks.core.dask_engine import open_cluster  # here: it takes a second

        return open_cluster(address, work, stores)
    text = os.environ.get(WORKERS) or "0"
    if not text.isdecimal() or int(text) > 1024:
        raise ParamsError(f"{WORKERS} is {text!r}: it must be a number of processes, or 0 for the stage's own")
    if int(text) == 0:
        from tasks.core.processes import own_process

        return own_process(work, stores)
    from tasks.core.processes import open_processes

    return open_processes(int(text), work, stores)


def given_up(job: Job, how: str) -> SceneError:
    """The result of a job that took its worker with it again and again."""
    return SceneError(
        "worker-lost",
        f"{job.name}: every worker that tried it {how}, as often as it was tried. It is left out; see the logs of the "
        "workers, and give them more memory if that was it",
    )


def make_result(make: Make, job: Job, stores: Stores) -> Result:
    """Do a job here and leave its result in one of the stores.

    Raises:
        EarthloomError: the stage cannot go on.
    """
    try:
        with stores.of(job).made(job.key) as draft:
            if not make(job.argument, draft.folder):
                draft.store = stores.own
        return draft.store.path(job.key)
    except SceneError as error:
        return error
    except MemoryError as error:
        return SceneError("out-of-memory", f"{job.name}: its worker has too little memory ({error})")


def _finished(job: Job, one: Result | Handle) -> tuple[Job, Result]:
    return job, one if isinstance(one, Path | SceneError) else one.result()

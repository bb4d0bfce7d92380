"""Jobs on the workers of a Dask cluster that is there already, reached by the address of its scheduler.

Dask's own rules do the hard part: a job whose worker was killed goes to another one, and one that was there when
several workers died (`distributed.scheduler.allowed-failures`) is given up. Before the first job every worker is asked
which code it has, and with each job again, for workers come and go: one of another version would leave other results.

A worker that sees the cache of the stage, on a file system they share, leaves its results there. From one that does
not they are fetched by blocks, so that neither side holds a whole result in memory.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Future, TimeoutError, wait
from distributed.scheduler import KilledWorker

from tasks.core.dask_worker import BLOCK, Common, Identity, Left, Mark, do, forget, read_block
from tasks.core.errors import ClusterError, EarthloomError, ParamsError, SceneError
from tasks.core.fan_out import DASK, Job, Result, Stores, Work, given_up
from tasks.core.results import Results

logger = logging.getLogger(__name__)
PATIENCE = 20.0
"""Seconds that a scheduler may take to answer, and a cluster to have its first worker."""
ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
AHEAD = 2
"""Jobs under way for each thread of a worker."""


class _Awaited:
    def __init__(self, cluster: "Cluster", job: Job) -> None:
        self._cluster, self._job = cluster, job
        self._future = cluster.begin(job)

    def result(self) -> Result:
        alone = False
        while True:
            left = self._cluster.wait(self._future, self._job)
            if left is None and alone:
                return given_up(self._job, "was killed")
            if left is None:
                # Whatever a worker held when it was killed is a suspect: now it is tried where nothing else is.
                self._cluster.settle()
                logger.warning("%s: workers that tried it were killed; it is tried alone", self._job.name)
                self._future, alone = self._cluster.begin(self._job), True
                continue
            if left.held is None or isinstance(left.result, SceneError):
                return left.result
            if found := self._cluster.fetched(self._job, left.result, *left.held):
                return found
            logger.warning("%s: what a worker left of it is gone with the worker; it is made again", self._job.name)
            self._future = self._cluster.begin(self._job)


class Cluster:
    """A connected cluster."""

    def __init__(self, client: Client, address: str, common: Common) -> None:
        self._client, self._address, self._common = client, address, common
        self.stores = common.stores
        self.most = AHEAD * common.workers
        self._under_way: list[Future[Left]] = []

    def submit(self, job: Job) -> _Awaited:
        """Begin a job."""
        return _Awaited(self, job)

    def begin(self, job: Job) -> "Future[Left]":
        """Have a worker do a job."""
        # A job that is begun again is another task, whatever is known of the first.
        future = self._client.submit(do, job, self._common, key=f"{job.name}-{uuid4().hex}", pure=False)
        self._under_way = [one for one in self._under_way if not one.done()] + [future]
        return future

    def settle(self) -> None:
        """Wait until nothing is under way."""
        with self._client.as_current():
            wait(self._under_way)

    def wait(self, future: "Future[Left]", job: Job) -> Left | None:
        """What came of a job; None where workers were killed over it.

        Raises:
            ClusterError: no worker is left, or the scheduler is gone.
        """
        alone_since: float | None = None
        while True:
            try:
                left: Left = future.result(timeout=5)
                return left
            except KilledWorker:
                return None
            except EarthloomError:
                raise
            except TimeoutError:
                if future.done():
                    raise  # the job's own
                alone_since = None if self._count() else alone_since or time.monotonic()
                if alone_since is not None and time.monotonic() - alone_since > 3 * PATIENCE:
                    raise ClusterError(
                        f"{DASK}={self._address}: no worker has been there for {3 * PATIENCE:.0f} s while {job.name} "
                        "waits. Start workers and run the same command again: what was finished is kept"
                    ) from None
            except Exception as error:
                if future.cancelled() or self._client.status != "running":
                    raise ClusterError(
                        f"{DASK}={self._address}: the scheduler is gone ({error}). Start it and run the same command "
                        "again: what was finished is kept"
                    ) from error
                raise

    def fetched(self, job: Job, place: Path, worker: str, files: dict[str, int], share: bool) -> Path | None:
        """Fetch a result block by block from the worker that holds it; None if the worker is gone."""
        store = self.stores.shared if share else self.stores.own
        try:
            with store.made(job.key) as draft:
                for name, size in files.items():
                    target = draft.folder / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        for start in range(0, size, BLOCK):
                            out.write(self._ask(worker, read_block, place / name, start))
            self._ask(worker, forget, place)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("%s: %s cannot be asked for its result: %s", job.name, worker, error)
            return None
        return store.path(job.key)

    def _ask(self, worker: str, function: Any, *args: Any) -> Any:
        found = self._client.run(function, *args, workers=[worker])
        return found[worker]

    def _count(self) -> int:
        with suppress(Exception):
            return len(self._client.scheduler_info(n_workers=-1)["workers"])
        return 0


@contextmanager
def open_cluster(address: str, work: Work, stores: Stores) -> Iterator[Cluster]:
    """A connection to a cluster whose workers have been asked for their version.

    Raises:
        ParamsError: the address is none.
        ClusterError: nobody answers, there is no worker, or one has another version; names it.
    """
    if not ADDRESS.fullmatch(address):
        raise ParamsError(f"{DASK} is '{address}': it must be a scheduler's tcp://HOST:PORT or tls://HOST:PORT")
    identity = Identity.here(work.module)
    with ExitStack() as stack:
        try:
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"{DASK}={address}: no Dask scheduler answers there ({error}). Is the address right, and the scheduler "
                "up? Without the variable the same is done on this machine"
            ) from error
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise ClusterError(
                f"{DASK}={address}: the scheduler answers, but no worker has come in {PATIENCE:.0f} s. Start workers "
                "(docs/how-to/dask.md) and run the same command again"
            ) from error
        require_alike(client, address, work.module, identity)
        marks = (stack.enter_context(_marked(stores.shared)), stack.enter_context(_marked(stores.own)))
        threads = sum(client.nthreads().values())
        logger.info("%s: %d jobs at a time on %d workers", address, threads, len(client.nthreads()))
        yield Cluster(client, address, Common(work, identity, stores, marks, threads))


def require_alike(client: Client, address: str, module: str, identity: Identity) -> None:
    """Refuse a cluster of which a worker has another version of Python, of distributed or of this code.

    Raises:
        ClusterError: names the workers, and in what they differ.
    """
    wrong = []
    for worker, answer in sorted(client.run(Identity.here, module, on_error="return").items()):
        if isinstance(answer, Identity):
            differs = identity.differs(answer)
        else:
            differs = f"this code cannot be run there ({type(answer).__name__}: {answer})"
        if differs:
            wrong.append(f"{worker}: {differs}")
    if wrong:
        raise ClusterError(
            f"{DASK}={address}: {len(wrong)} of its workers would leave other results: {'; '.join(wrong[:4])}. Start "
            "them from the same commit and requirements.lock (docs/how-to/dask.md)"
        )


@contextmanager
def _marked(store: Results) -> Iterator[Mark]:
    token = uuid4().hex
    path = store.root / f".seen-{token}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token)
    try:
        yield Mark(str(path), token)
    finally:
        path.unlink(missing_ok=True)

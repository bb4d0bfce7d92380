"""An instance that runs on another pool's worker: asked for by hashes, taken back only if it is what was asked.

The worker gets a commit, an address and the lock entries of what the instance depends on; it hands back the
instance's own entry, as an object on the DVC remote under the hash of the question. So a run that was asked for twice
runs once, and what a lost caller had asked for is found by the next.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, WorkerStatus
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.states import Cancelling

from flows.recording.graph import Instance
from flows.versions.remote import GoneError, Remote, outs_by_hash
from tasks.core.errors import FlowError

DEPLOYMENT = "stage/gpu"
"""Flow and deployment that runs one instance."""
POLL_SECONDS = 2.0
LONELY_SECONDS = 120.0
"""How long a run that nobody has begun is waited for once the pool has no worker."""
LOST_MACHINES = 3
"""Times that a run is asked for again after its machine died under it; a preempted one comes back by itself."""


@dataclass(frozen=True)
class Request:
    """What a worker is asked for."""

    repository: str
    commit: str
    address: str
    entries: Mapping[str, str]
    """Lock entries of the instances that it depends on, as YAML, by address."""
    key: str
    """Of the result; see `result_key`."""
    force: bool = False
    """Run it even if it has been run for the same inputs."""


def result_key(entry: Mapping[str, Any]) -> str:
    """Hash of what an instance is made from: command, dependencies and parameters of its lock entry, no output."""
    deps = [[dep["path"], dep["md5"]] for dep in entry.get("deps", [])]
    asked = json.dumps([entry["cmd"], deps, entry.get("params", {})], sort_keys=True, default=str)
    return hashlib.sha256(asked.encode()).hexdigest()


def result_path(key: str) -> tuple[str, str]:
    """Where the lock entry of a result lies beside the data on the remote."""
    return "entries", f"{key}.yaml"


@dataclass(frozen=True)
class Dispatch:
    """Sends the instances of one walk to workers of their pool."""

    repository: str
    commit: str
    remote: Remote

    def run(
        self,
        instance: Instance,
        asked: Mapping[str, Any],
        upstream: Mapping[Instance, str],
        stopped: Callable[[], bool],
        force: bool = False,
    ) -> str | None:
        """The lock entry of an instance that a worker ran; None if there is no worker to run it.

        Args:
            instance: what to run.
            asked: its command, dependencies and parameters, as dvc.lock would have them.
            upstream: lock entries, as YAML, of the instances that it depends on.
            stopped: whether the walk was asked to stop.
            force: run it even if it has been run for the same inputs.

        Raises:
            FlowError: the worker's run failed or was cancelled, or its outputs are not on the remote.
        """
        logger = get_run_logger()
        entries = {one.address: entry for one, entry in upstream.items()}
        request = Request(self.repository, self.commit, instance.address, entries, result_key(asked), force)
        if not force and (entry := self._done(request, instance)) is not None:
            logger.info("a worker has run it for the same inputs before")
            return entry
        with get_client(sync_client=True) as client:
            try:
                deployment = client.read_deployment_by_name(DEPLOYMENT)
            except ObjectNotFound:
                logger.info("there is no deployment %s: running here", DEPLOYMENT)
                return None
            pool = str(deployment.work_pool_name)
            if not has_worker(client, pool):
                logger.info("no worker of pool %s is online: running here", pool)
                return None
            self._hand_over(upstream)
            if not self._completed(client, deployment.id, pool, request, stopped):
                logger.warning("the workers of pool %s have gone before one began: running here", pool)
                return None
        entry = self._done(request, instance)
        if entry is None:
            raise FlowError(
                f"{instance.address}: the worker's run completed, but its lock entry or its outputs are not on the DVC "
                "remote for what was asked. Have the worker and this host the same remote (EARTHLOOM_REMOTE) and "
                "packages?"
            )
        return entry

    def _hand_over(self, upstream: Mapping[Instance, str]) -> None:
        """Bring to the remote what the worker will need."""
        for one, entry in upstream.items():
            absent = self.remote.push(self.remote.objects(outs_by_hash(one, entry)))
            if absent:
                raise FlowError(
                    f"{one.address}: {absent[0]} is neither in the cache here nor on the remote; run it again"
                )

    def _done(self, request: Request, instance: Instance) -> str | None:
        """The entry that a worker left for this request, if all that it names is on the remote."""
        content = self.remote.read(*result_path(request.key))
        if content is None:
            return None
        entry = content.decode()
        outs = outs_by_hash(instance, entry)
        try:
            objects = self.remote.objects(outs)
        except GoneError:  # the list of a folder's files is gone
            return None
        return entry if outs.keys() == set(instance.cached) and not self.remote.absent(objects) else None

    def _completed(
        self, client: SyncPrefectClient, deployment: UUID, pool: str, request: Request, stopped: Callable[[], bool]
    ) -> bool:
        """Wait for a run of the request to complete; false if no worker took it.

        Raises:
            FlowError: it failed or was cancelled, or its machine died time after time.
        """
        lost = 0
        for number in range(1000):
            run = _ask(client, deployment, request, number)
            if run.state is not None and run.state.is_final():
                continue  # of an earlier walk, and it came to nothing: what it failed of may have been put right
            get_run_logger().info("asked pool %s for %s: flow run %s", pool, request.address, run.name)
            state = self._wait(client, run, pool, stopped)
            if state is None:
                return False
            if state.is_completed():
                return True
            lost += state.is_crashed()
            if not state.is_crashed() or lost > LOST_MACHINES:
                why = state.message or state.name
                raise FlowError(f"{request.address}: flow run {run.name} on pool {pool} ended as {state.name}: {why}")
            get_run_logger().warning("the machine of %s has died; asking for it again", request.address)
        raise FlowError(f"{request.address}: asked for a thousand times in vain; look at the flow runs of {DEPLOYMENT}")

    def _wait(self, client: SyncPrefectClient, run: FlowRun, pool: str, stopped: Callable[[], bool]) -> Any:
        """The final state of a run; None if it was given up since nobody was there to begin it."""
        alone_since: float | None = None
        while True:
            run = client.read_flow_run(run.id)
            state = run.state
            if state is not None and state.is_final():
                return state
            if stopped():
                if is_cancelled(client):
                    client.set_flow_run_state(run.id, Cancelling(message="the run that asked for it was cancelled"))
                raise FlowError(f"{run.name} was left to its worker: this run was stopped")
            # One that had begun waits for its next machine, however long: nobody trains it here in the meantime.
            waits = run.run_count == 0 and (state is None or state.is_scheduled() or state.is_pending())
            alone_since = (alone_since or time.monotonic()) if waits and not has_worker(client, pool) else None
            if alone_since and time.monotonic() - alone_since > LONELY_SECONDS:
                client.set_flow_run_state(run.id, Cancelling(message="no worker was there to begin it"))
                return None
            time.sleep(POLL_SECONDS)


def has_worker(client: SyncPrefectClient, pool: str) -> bool:
    """Whether a work pool is there and a worker of it has lately been heard of."""
    try:
        workers = client.read_workers_for_work_pool(pool)
    except ObjectNotFound:
        return False
    return any(worker.status == WorkerStatus.ONLINE for worker in workers)


def _ask(client: SyncPrefectClient, deployment: UUID, request: Request, number: int) -> FlowRun:
    task = TaskRunContext.get()
    return client.create_flow_run_from_deployment(
        deployment,
        parameters={
            "repository": request.repository,
            "commit": request.commit,
            "address": request.address,
            "entries": dict(request.entries),
            "force": request.force,
        },
        name=f"{request.address} {request.key[:8]}{f'-{number}' if number else ''}",
        idempotency_key=f"{request.key}-{number}",
        parent_task_run_id=task.task_run.id if task else None,
    )


def is_cancelled(client: SyncPrefectClient) -> bool:
    """Whether the flow run that this belongs to is being cancelled, not merely ended."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    state = client.read_flow_run(run.id).state if run else None
    return state is not None and (state.is_cancelling() or state.is_cancelled())

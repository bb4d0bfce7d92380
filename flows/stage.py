"""Flow `stage`: one instance of the graph on a worker of another host, with nothing but a commit and hashes.

The inputs are pulled by hash, the stage runs on the devices it finds, its outputs are pushed, and its lock entry is
left on the remote and as an artifact. A worker that must go (SIGTERM) leaves a checkpoint, and the run waits for the
next one.
"""

import os
import re
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Pause, TerminationSignal
from prefect.logging import get_run_logger
from prefect.states import AwaitingRetry, Completed, Failed

from flows.gpu.checkpoints import Checkpoints, key_of
from flows.gpu.devices import travelling
from flows.gpu.dispatch import is_cancelled, result_key, result_path
from flows.recording import foreign, lockfile
from flows.recording.recorder import open_workspace
from flows.versions.git import COMMIT
from flows.versions.host import Host
from flows.versions.remote import Remote, opened, outs_of
from flows.versions.workspace import Workspace, validate, workspace
from flows.walking import artifacts
from flows.walking.deployed import begin
from flows.walking.walk import walk
from tasks import code
from tasks.core import paths
from tasks.core.errors import EarthloomError, FlowError

ADDRESS = re.compile(r"[A-Za-z0-9_]+(@[A-Za-z0-9][A-Za-z0-9_-]*)?")
"""It names a folder of this host: nothing in it leads elsewhere."""


@flow(name="stage", flow_run_name="{address}")
def stage(repository: str, commit: str, address: str, entries: dict[str, str], force: bool = False) -> State[Any]:
    """Run one instance in a workspace of its own and leave its outputs and its lock entry on the remote.

    Args:
        repository: URL of the git repository to clone.
        commit: Its 40 digits.
        address: Of the instance, such as `train@1`.
        entries: Lock entries, as YAML, of the instances that it depends on, by address.
        force: Run it even if this host has run it for the same inputs before.
    """
    begin()
    try:
        if not COMMIT.fullmatch(commit):
            raise FlowError(f"commit {commit!r} is not the 40 hexadecimal digits of a commit")
        if not ADDRESS.fullmatch(address):
            raise FlowError(f"address {address!r} is not one of a stage instance, such as train@1")
        # The same name on each try: what an earlier one left is found.
        name = f"stage-{commit[:12]}-{address}"
        with workspace(Host.here(), repository, commit, name) as space, opened(space.root) as remote:
            validate(space.root)
            return Completed(message=_run(space, remote, address, entries, force))
    except EarthloomError as error:
        return Failed(message=str(error), data=error)
    except TerminationSignal:
        _wait_for_another_worker()
        raise


def _run(space: Workspace, remote: Remote, address: str, entries: dict[str, str], force: bool) -> str:
    lock = lockfile.Lock(space.root / "dvc.lock")
    for upstream, entry in entries.items():
        lock.entries[upstream] = lockfile.text(upstream, foreign.parse(upstream, entry))
    lock.write(lock.entries)
    # Of the question, not of what is made from it: that is known only once the code is there.
    key = key_of(space.commit, address, sorted(entries.items()))
    # The code is the commit's own, and made here; all else that the instance needs is in `entries`.
    outcomes = walk(
        space.root,
        only=(code.FIRST, address),
        force=(address,) if force else (),
        sparse=True,
        jobs=1,
        leased=travelling(Host.here(), space.root, remote, key),
    )
    with open_workspace(space.root, sparse=True) as recorder:
        instance, entry = recorder.graph.by_address[address], recorder.entry(address)
    values = foreign.parse(address, entry)
    outs = outs_of(values, instance.cached)
    if absent := remote.push(remote.objects(outs)):
        raise FlowError(f"{address}: {absent[0]} is not in the cache of this host, though the stage has just made it")
    remote.write(entry.encode(), *result_path(result_key(values)))
    Checkpoints(space.root / paths.work(address), remote.filesystem, remote.path(), key).clear()
    create_markdown_artifact(
        f"```yaml\n{lockfile.text(address, values)}```", key=artifacts.key("lock-entry"), description=address
    )
    return artifacts.headline(outcomes)


def _wait_for_another_worker() -> None:
    """Have the run begun again, by this worker or another, unless it is being cancelled.

    Raises:
        Pause: to leave without a verdict: the run is scheduled.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return
    with get_client(sync_client=True) as client:
        if is_cancelled(client):
            return
        state: State[Any] = AwaitingRetry(message=f"its worker (process {os.getpid()}) had to go; a checkpoint is kept")
        client.set_flow_run_state(run.id, state, force=True)
    get_run_logger().info("this worker has to go: the run waits for another")
    raise Pause(state=state)

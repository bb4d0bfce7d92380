"""What every flow does: in the checkout it was called in, or, for a deployment, in a workspace of its own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.gpu.devices import of_host
from flows.gpu.dispatch import Dispatch
from flows.recording.recorder import open_workspace
from flows.versions.host import Host
from flows.versions.release import BranchMovedError, Kind, Release, release
from flows.versions.remote import Remote, opened
from flows.versions.workspace import Workspace, validate, workspace
from flows.walking import artifacts
from flows.walking.deployed import begin, has_server
from flows.walking.patient import patiently
from flows.walking.walk import as_state, walk, walk_here
from tasks.core.errors import EarthloomError
from tasks.core.stage import storage_errors

MAIN = "main"
BEGINNINGS = 3
"""Times that a run begins again since others have committed to its branch; what was made is in the cache by then."""
PUSHES = 6
"""Tries to push a version; the waits between them add up to ten minutes."""


def carry_out(
    targets: Sequence[str],
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    force: Sequence[str] = (),
    repository: str | None = None,
    revision: str = MAIN,
    branch: str = MAIN,
    kind: Kind | None = None,
) -> State[Any]:
    """Bring targets up to date; with a repository, from a commit of it, and as a version that others can have.

    Args:
        targets: stages or addresses; none means everything.
        jobs: commands at a time; as many as there are CPUs when not given.
        dry_run: only say what would be done.
        force: stages or addresses that run even if they are fresh.
        repository: URL of the git repository to clone; None for the current folder, as it stands.
        revision: branch, tag or commit of it.
        branch: gets the commit of the new version.
        kind: what is released; None for nothing.

    Returns:
        The state for the flow to return: a message for people instead of a traceback.
    """
    if repository is None:
        return walk_here(targets, jobs, dry_run, force, of_host(Host.here(), Path.cwd()))
    begin()
    try:
        for number in range(1, BEGINNINGS + 1):
            try:
                with workspace(Host.here(), repository, revision, workspace_name()) as space:
                    validate(space.root)
                    if dry_run:
                        return as_state(walk(space.root, targets, dry_run=True, force=force, sparse=True))
                    return _in_workspace(space, targets, jobs, force, branch, kind)
            except BranchMovedError as error:
                if number == BEGINNINGS:
                    raise
                get_run_logger().warning("%s: beginning again from there", error)
                revision = branch
        raise AssertionError("the last beginning returns or raises")
    except EarthloomError as error:
        return Failed(message=str(error), data=error)


def _in_workspace(
    space: Workspace, targets: Sequence[str], jobs: int | None, force: Sequence[str], branch: str, kind: Kind | None
) -> State[Any]:
    with opened(space.root) as remote:
        dispatch = Dispatch(space.repository, space.commit, remote).run if has_server() else None
        outcomes = walk(
            space.root,
            targets,
            jobs,
            force=force,
            sparse=True,
            dispatch=dispatch,
            leased=of_host(Host.here(), space.root),
        )
        message = artifacts.headline(outcomes)
        if kind is None:
            return as_state(outcomes)
        made = _released(space, remote, kind, branch)
    if made is None:
        return Completed(message=f"{message}; nothing new, no version", name="NothingNew")
    create_markdown_artifact(f"```\n{made.message}\n```", key=artifacts.key("release"), description=made.tag)
    return Completed(message=f"{message}; released {made.tag}", name="Released")


def _released(space: Workspace, remote: Remote, kind: Kind, branch: str) -> Release | None:
    """Release, again and again if a remote cannot be reached just now: nothing that was pushed is pushed again."""

    def once() -> Release | None:
        with storage_errors(), open_workspace(space.root, sparse=True) as recorder:
            return release(space, recorder, remote, kind, branch)

    return patiently(once, "release", f"release {kind.name}", PUSHES, lambda made: made.tag if made else "nothing new")


def workspace_name() -> str:
    """Of this run's workspace: a flow run that is tried again has the same one."""
    run = runtime.flow_run.id
    return f"{runtime.flow_run.flow_name}-{run}" if run else f"process-{os.getpid()}"

"""The walk: every instance of the plan once, after those it depends on, independent ones side by side."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.recording.graph import Graph, InstanceOutcome
from flows.recording.recorder import Recorder, look_into, open_workspace
from flows.walking import artifacts
from flows.walking.credentials import credentials
from flows.walking.instance import Elsewhere, Leased, Walk, any_devices, current, run_instance, walking
from flows.walking.preview import preview
from flows.walking.processes import Commands
from tasks.core.errors import EarthloomError, FlowError
from tasks.core.section import PARAMS_FILE
from tasks.core.stage import storage_errors

FRESH = "Fresh"
"""Name of the state of a run that found nothing to do."""
STATES = {"Restored": "restored", "Completed": "ran"}
"""What became of an instance, by the name of its Prefect state."""


def walk(
    workspace: Path,
    targets: Sequence[str] = (),
    jobs: int | None = None,
    dry_run: bool = False,
    force: Sequence[str] = (),
    sparse: bool = False,
    only: Sequence[str] = (),
    dispatch: Elsewhere | None = None,
    leased: Leased = any_devices,
) -> list[InstanceOutcome]:
    """Bring `targets` and all they depend on up to date, as `dvc repro` would.

    For a Prefect flow to call; a dry run needs none.

    Args:
        workspace: root of the DVC project.
        targets: stages or addresses; none means everything.
        jobs: commands at a time; as many as there are CPUs when not given.
        dry_run: only say what would be done.
        force: stages or addresses that run even if they are fresh (`scenes`, to ask the catalog again).
        sparse: outputs may be absent from the disk, see `open_workspace`; what a command needs is fetched for it.
        only: these instances and no other, in place of `targets`; what else they depend on is recorded in dvc.lock.
        dispatch: sends instances of the GPU pool to its workers, where there are any.
        leased: what surrounds an instance of the GPU pool that runs here.

    Raises:
        FlowError: an instance failed, the workspace is in use, or `dvc status` is not clean at the end.
    """
    if jobs is not None and jobs < 1:
        raise FlowError(f"'jobs' is {jobs}: it is the number of commands at a time, 1 or more")
    with look_into(workspace, sparse) if dry_run else open_workspace(workspace, sparse) as recorder:
        plan = recorder.graph.only(only) if only else recorder.graph.plan(targets)
        forced = frozenset(address for name in force for address in recorder.graph.match(name))
        if dry_run:
            outcomes = preview(recorder, plan, forced)
            artifacts.show(outcomes, recorder.root)
            return outcomes
        commands = Commands(recorder.root, credentials(recorder.root / PARAMS_FILE))
        for address in commands.end_leftovers():
            get_run_logger().warning("ended %s, which a killed run had left behind", address)
        with walking(Walk(recorder, commands, forced, dispatch, leased)):
            outcomes = _walk(plan, commands, jobs or os.cpu_count() or 1)
        artifacts.publish(outcomes, recorder.root)
        artifacts.show(outcomes, recorder.root)
        _raise_failed(outcomes)
        if any(outcome.state != "cached" for outcome in outcomes):  # else that is what has just been asked
            _raise_unclean(recorder, plan)
    return outcomes


def as_state(outcomes: Sequence[InstanceOutcome]) -> State[Any]:
    """What a flow returns of a walk that went well."""
    fresh = all(outcome.state == "cached" for outcome in outcomes)
    return Completed(message=artifacts.headline(outcomes), name=FRESH if fresh else None)


def walk_here(
    targets: Sequence[str] = (),
    jobs: int | None = None,
    dry_run: bool = False,
    force: Sequence[str] = (),
    leased: Leased = any_devices,
) -> State[Any]:
    """What every flow does: validate params.yaml, walk the current folder, and return the state that this returns."""
    from tasks.check import validate  # every stage's module, and what those import

    workspace = Path.cwd()
    try:
        validate(workspace / "params.yaml")
        return as_state(walk(workspace, targets, jobs, dry_run, force, leased=leased))
    except EarthloomError as error:
        # A state instead of an exception: the log shows people the message, not a traceback.
        return Failed(message=str(error), data=error)


def _walk(plan: Graph, commands: Commands, jobs: int) -> list[InstanceOutcome]:
    """Ask whether an instance has changed once those it depends on are done; one that has becomes a Prefect task."""
    outcomes: dict[str, InstanceOutcome] = {}
    futures: dict[str, PrefectFuture[Any]] = {}
    begun: dict[str, float] = {}
    finished: SimpleQueue[tuple[str, Future[bool] | None]] = SimpleQueue()
    # The runner has threads to spare: what may start is decided here, so that waiting holds no place.
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=jobs + 8)
    with ThreadPoolExecutor(jobs) as asking, runner:
        try:
            while len(outcomes) < len(plan.instances):
                waiting = [i for i in plan.instances if i.address not in begun and i.address not in outcomes]
                ready = [i for i in waiting if outcomes.keys() >= set(i.upstream)]
                for instance in ready[: jobs - len(begun)]:
                    begun[instance.address] = time.monotonic()
                    asked = asking.submit(_must_run, current(), instance.address)
                    asked.add_done_callback(partial(_report, finished, instance.address))
                address, asked_of = finished.get()
                if asked_of is not None and asked_of.result():
                    instance = plan.by_address[address]
                    after = [futures[upstream] for upstream in instance.upstream if upstream in futures]
                    named = run_instance.with_options(tags=set(instance.tags))
                    futures[address] = runner.submit(named, {"address": address}, wait_for=after)
                    futures[address].add_done_callback(partial(_report_run, finished, address))
                    continue
                outcomes[address] = _outcome(address, futures.get(address), time.monotonic() - begun.pop(address))
                if outcomes[address].state == "failed":
                    for skipped in plan.downstream(address):
                        outcomes.setdefault(skipped, InstanceOutcome(skipped, "skipped", 0.0, f"needs {address}"))
        except BaseException:
            commands.stop()
            raise
    return [outcomes[instance.address] for instance in plan.instances]


def _must_run(walk: Walk, address: str) -> bool:
    try:
        with storage_errors():
            return address in walk.forced or walk.recorder.changed(address)
    except EarthloomError:
        return True  # its run will meet the same, and say so


def _report(finished: "SimpleQueue[tuple[str, Future[bool] | None]]", address: str, asked: "Future[bool]") -> None:
    finished.put((address, asked))


def _report_run(finished: "SimpleQueue[tuple[str, Future[bool] | None]]", address: str, _: PrefectFuture[Any]) -> None:
    finished.put((address, None))


def _outcome(address: str, future: PrefectFuture[Any] | None, seconds: float) -> InstanceOutcome:
    if future is None:
        return InstanceOutcome(address, "cached", seconds)
    future.wait()
    state = future.state
    if state.is_completed():
        return InstanceOutcome(address, STATES[str(state.name)], seconds)
    return InstanceOutcome(address, "failed", seconds, str(state.message))


def _raise_failed(outcomes: Sequence[InstanceOutcome]) -> None:
    failed = [o for o in outcomes if o.state == "failed"]
    if not failed:
        return
    skipped = [o.address for o in outcomes if o.state == "skipped"]
    lines = [f"{len(failed)} of {len(outcomes)} instances failed:", *(f"  {o.reason}" for o in failed)]
    if skipped:
        lines.append(f"Skipped, because they need one of these: {', '.join(skipped)}.")
    lines.append("What succeeded is recorded. Put the cause right and run the same command again to go on from here.")
    raise FlowError("\n".join(lines))


def _raise_unclean(recorder: Recorder, plan: Graph) -> None:
    unclean = recorder.unclean(plan)
    if unclean:
        lines = [f"  {name}: {reasons}" for name, reasons in unclean.items()]
        raise FlowError(
            "\n".join(["`dvc status` is not clean after the run; was a file changed meanwhile?", *lines])
            + "\nRun the same command again."
        )

"""The one Prefect task: a stage instance, taken from the cache or run, saved and recorded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from flows.recording.cache import RemoteError
from flows.recording.graph import GPU, Instance
from flows.recording.recorder import Recorder
from flows.walking import limits
from flows.walking.processes import RESCHEDULED, CommandError, Commands, Devices
from tasks.core.errors import EarthloomError, ParamsError
from tasks.core.stage import storage_errors

Elsewhere = Callable[[Instance, Mapping[str, Any], Mapping[Instance, str], Callable[[], bool], bool], str | None]
"""Has an instance run on a worker of its pool: `Dispatch.run` of flows.gpu.dispatch."""
Leased = Callable[[Instance], AbstractContextManager[Devices]]
"""Leases devices of this host for an instance while the context lasts."""


def any_devices(_instance: Instance) -> AbstractContextManager[Devices]:
    """Nothing is leased: the command takes what it finds."""
    return nullcontext(Devices())


@dataclass(frozen=True)
class Walk:
    """What the instances of one walk share. It never crosses into Prefect: a task is given an address."""

    recorder: Recorder
    commands: Commands
    forced: frozenset[str]
    """Addresses that run even if they are fresh, and are not taken from the cache."""
    dispatch: Elsewhere | None = None
    """Sends instances of the GPU pool to its workers."""
    leased: Leased = any_devices
    """What surrounds an instance of the GPU pool that runs here."""


_current: ContextVar[Walk] = ContextVar("walk")


@contextmanager
def walking(walk: Walk) -> Iterator[None]:
    """Make `walk` the one that the instances started in this context belong to."""
    token = _current.set(walk)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Walk:
    """The walk of this context."""
    return _current.get()


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether another try may go better.

    Yes for a command that reads from a catalog, and where the DVC remote failed: networks fail. Never for wrong
    parameters, after a stop, or for what fails the same way every time. One that asked to be rescheduled has been run
    again by then, as often as it asked.
    """
    if _current.get().commands.stopped:
        return False
    if isinstance(state.data, RemoteError):
        return True
    if not isinstance(state.data, CommandError):
        return False
    code = state.data.returncode
    reads_catalog = any(tag.startswith("stac:") for tag in task.tags)
    return reads_catalog and code not in (ParamsError.exit_code, RESCHEDULED)


@task(
    task_run_name="{address}",
    cache_policy=NO_CACHE,  # DVC alone decides what is fresh
    retries=limits.TRIES - 1,
    retry_delay_seconds=exponential_backoff(limits.TRY_AGAIN_AFTER),
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_retrying,
    persist_result=False,
)
def run_instance(address: str) -> State[Any]:
    """Bring an instance that has changed up to date, by the steps of `dvc repro`; the state's name says by which."""
    walk, logger = _current.get(), get_run_logger()
    recorder, force = walk.recorder, address in walk.forced
    try:
        with storage_errors():
            if recorder.restore(address, force=force):
                recorder.save(address)
                logger.info("restored from the run cache")
                return Completed(
                    name="Restored", message="run before with the same inputs; outputs taken from the cache"
                )
            instance = recorder.graph.by_address[address]
            if walk.dispatch is not None and instance.pool == GPU and _run_elsewhere(walk, walk.dispatch, instance):
                return Completed(message="ran on a worker of the GPU pool")
            if recorder.sparse:
                recorder.fetch(address)
            recorder.prepare(address)
            with walk.leased(instance) if instance.pool == GPU else nullcontext(None) as devices:
                walk.commands.run(instance, logger, devices)
            recorder.save(address)
            return Completed(message="ran")
    except EarthloomError as error:
        return Failed(message=str(error), data=error)


def _run_elsewhere(walk: Walk, dispatch: Elsewhere, instance: Instance) -> bool:
    """Have a worker run the instance and record what it made; false if there is none."""
    recorder = walk.recorder
    upstream = {recorder.graph.by_address[name]: recorder.entry(name) for name in instance.upstream}
    asked = recorder.asked(instance.address)
    entry = dispatch(instance, asked, upstream, lambda: walk.commands.stopped, instance.address in walk.forced)
    if entry is None:
        return False
    recorder.accept(instance.address, entry)
    return True

"""Work that the DVC remote may fail: one task of the flow run, tried again while the remote cannot be reached."""

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

from flows.recording.cache import RemoteError
from tasks.core.errors import EarthloomError, FlowError

WAIT = 20
"""Seconds before the second try; twice that before the third, and so on."""
T = TypeVar("T")


def patiently(work: Callable[[], T], name: str, run_name: str, tries: int, said: Callable[[T], str]) -> T:
    """Do some work, again and again if it fails by a RemoteError.

    Args:
        work: can be begun anew, and then goes on from what it had done.
        name: of the Prefect task.
        run_name: of its run.
        tries: the first one counted.
        said: what the server shows of the result.

    Raises:
        EarthloomError: that of the last try.
    """
    # Out of the task by these: Prefect would hand them through its store of results.
    done: list[T] = []
    failed: list[EarthloomError] = []

    @task(
        name=name,
        task_run_name=run_name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=tries - 1,
        retry_delay_seconds=exponential_backoff(WAIT),
        retry_condition_fn=lambda _task, _run, state: isinstance(state.data, RemoteError),
    )
    def once() -> State[Any]:
        try:
            done.append(work())
            return Completed(message=said(done[-1]))
        except EarthloomError as error:
            failed.append(error)
            return Failed(message=str(error), data=error)

    state: State[Any] = once(return_state=True)
    if not state.is_completed():
        raise failed[-1] if failed else FlowError(f"{run_name} did not end: {state.message}")
    return done[-1]

"""Runs whose machine died: nobody was left to say that their tasks have ended with them, so the next run does."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from flows.deploy.declared import OURS

GOING = [StateType.RUNNING, StateType.PENDING]


def end_their_tasks() -> int:
    """Mark tasks as crashed that the server shows as running, of crashed runs of the project; their number."""
    runs = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])),
        tags=FlowRunFilterTags(all_=[OURS]),
    )
    tasks = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=GOING)))
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=runs, task_run_filter=tasks)
        for task in found:
            client.set_task_run_state(task.id, Crashed(message="Its flow run has crashed."), force=True)
    return len(found)

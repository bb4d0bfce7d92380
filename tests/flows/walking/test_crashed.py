"""Tasks of runs whose machine died."""

from typing import Any

import pytest
from prefect import Task, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Completed, Crashed, Running, State

from flows.deploy.declared import OURS
from flows.walking.crashed import end_their_tasks

pytest_plugins = ["tests.flows.fixtures"]


@task
def work() -> None:
    """Never called."""


@pytest.mark.parametrize(
    ("tags", "run", "became"),
    [
        ([OURS], Crashed(), StateType.CRASHED),
        ([OURS], Running(), StateType.RUNNING),
        (["theirs"], Crashed(), StateType.RUNNING),
    ],
)
def test_a_task_that_is_shown_as_running_ends_if_it_is_of_a_crashed_run_of_the_project(
    server: str, tags: list[str], run: State[Any], became: StateType
) -> None:
    of: Task[..., Any] = work
    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("crashed")
        made = client.request("POST", "/flow_runs/", json={"flow_id": str(flow), "tags": tags}).json()["id"]
        tasks = [client.create_task_run(of, made, dynamic_key=f"{i}", state=Running()).id for i in range(2)]
        client.set_task_run_state(tasks[1], Completed(), force=True)
        client.set_flow_run_state(made, run, force=True)
        end_their_tasks()
        assert [client.read_task_run(one).state_type for one in tasks] == [became, StateType.COMPLETED]

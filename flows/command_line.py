"""The command line around a flow: `python -m flows.build`, and what `earthloom` calls."""

import inspect
import sys
from typing import Any

import cyclopts
from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED,
    get_current_settings,
    temporary_settings,
)

from tasks.core.errors import EarthloomError
from tasks.core.log import console


def call(flow: Flow[..., Any], **parameters: object) -> int:
    """Run a flow from a command line, on the configured server or on one of its own; the exit code."""
    # The thread behind heartbeats delays the end of a flow by a second; it is for servers that lose a worker.
    settings: dict[Any, Any] = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    if not get_current_settings().api.url:
        # A server that lives as long as this run: nobody watches its tasks, and recording them locks its
        # SQLite against the run itself, which then waits 2 to 60 s for its next answer (measured).
        settings[PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED] = False
        # Seconds; Prefect's 20 are too few for a busy machine.
        settings[PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS] = 180
    with temporary_settings(settings):
        try:
            if parameters.get("dry_run"):
                _raise(flow.fn(**parameters))  # nothing to orchestrate: spare people the start of a server
            else:
                flow(**parameters)
        except EarthloomError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            return error.exit_code
        except KeyboardInterrupt:
            console.print("Stopped. What had finished is recorded; the same command goes on from there.")
            return 130
    return 0


def main(flow: Flow[..., Any]) -> None:
    """`python -m flows.<flow>`: the flow's parameters as options."""

    def command(**parameters: object) -> int:
        return call(flow, **parameters)

    command.__signature__ = _signature(flow)  # type: ignore[attr-defined]
    command.__doc__ = flow.fn.__doc__
    app = cyclopts.App(name=f"python -m flows.{flow.fn.__name__}", result_action="return_value")
    app.default(command)
    sys.exit(app())


def _raise(state: State[Any]) -> None:
    if isinstance(state.data, EarthloomError):
        raise state.data


def _signature(flow: Flow[..., Any]) -> inspect.Signature:
    signature = inspect.signature(flow.fn)
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    return signature.replace(parameters=keyword, return_annotation=int)

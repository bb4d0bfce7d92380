"""A flow as `earthloom` calls it: on the configured server or on one of its own, and its exit code."""

import inspect
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED,
    temporary_settings,
)

from flows.walking import guard, limits
from flows.walking.deployed import has_server
from flows.walking.walk import FRESH
from tasks.core.errors import EarthloomError
from tasks.core.log import console


def call(flow: Flow[..., Any], **parameters: object) -> int:
    """Run a flow from a command line, on the configured server or on one of its own; the exit code."""
    settings: dict[Any, Any] = {}
    own_server = not has_server()
    if own_server:
        # The thread behind heartbeats delays the end of a flow by a second; they are for those who watch a server.
        settings[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = None
        # A server that lives as long as this run: nobody watches its tasks, and recording them locks its
        # SQLite against the run itself, which then waits 2 to 60 s for its next answer (measured).
        settings[PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED] = False
        # Seconds; Prefect's 20 are too few for a busy machine.
        settings[PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS] = 180
    with temporary_settings(settings), _stopped_with_its_terminal():
        try:
            if parameters.get("dry_run"):
                _raise(flow.fn(**parameters))  # nothing to orchestrate: spare people the start of a server
            elif not (own_server and _nothing_to_do(flow, parameters)):
                if own_server:
                    # A server must not outlive this process either, which ends it itself unless it is killed.
                    os.environ[guard.VARIABLE] = guard.token(limits.COMMAND_GRACE)
                flow(**parameters)
        except EarthloomError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            return error.exit_code
        except KeyboardInterrupt:
            with suppress(OSError):  # of a terminal that is gone
                console.print("Stopped. What had finished is recorded; the same command goes on from there.")
            return 130
    return 0


def _nothing_to_do(flow: Flow[..., Any], parameters: dict[str, object]) -> bool:
    """Whether everything is up to date; says so then."""
    if parameters.get("force") or parameters.get("refresh") or parameters.get("repository"):
        return False
    if "dry_run" not in inspect.signature(flow.fn).parameters:
        return False
    with console.capture():
        state = flow.fn(**parameters, dry_run=True)
    if state.name != FRESH:
        return False
    console.print(f"Nothing has changed since the last run. {state.message}")
    return True


@contextmanager
def _stopped_with_its_terminal() -> Iterator[None]:
    """Take a terminal that is closed (SIGHUP) as Ctrl-C, unless it is to be ignored (`nohup`)."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGHUP) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _raise(state: State[Any]) -> None:
    if isinstance(state.data, EarthloomError):
        raise state.data

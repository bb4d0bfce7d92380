"""What the UI shows, by the server's API: flow runs and their states in order, their task runs and artifacts."""

import time
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from tests.end_to_end.faults.hosts import until
from tests.flows.services.stack import Stack

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
LATEST = 600.0
"""Seconds that a run may take on a busy machine, with a server that notices a lost one after 180."""


class Server:
    """The Prefect server of a stack of services, on PostgreSQL."""

    def __init__(self, stack: Stack, author: Path, origin: Path) -> None:
        self.stack, self.url = stack, f"http://127.0.0.1:{stack.port}/api"
        stack.checkout = author
        stack.call("deploy", "--repository", str(origin), sourced=True)
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def ask(self, method: str, path: str, **values: Any) -> Any:
        answer = self._http.request(method, path, json=values or None)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def start(self, deployment: str, **parameters: Any) -> UUID:
        """Ask for a run of a deployment."""
        there = self.ask("GET", f"/deployments/name/{deployment}")
        made = self.ask("POST", f"/deployments/{there['id']}/create_flow_run", parameters=parameters)
        return UUID(made["id"])

    def run(self, run: UUID) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")
        return found

    def wait(self, run: UUID, *names: str, seconds: float = LATEST) -> dict[str, Any]:
        """The run, once its state has one of these names, or is final."""

        def arrived() -> dict[str, Any] | None:
            try:
                found = self.run(run)
            except httpx.HTTPError:
                return None
            return found if found["state_name"] in names or found["state_type"] in FINAL else None

        found: dict[str, Any] = until(arrived, f"{run} as {names or 'ended'}", seconds)
        return found

    def states(self, run: UUID) -> list[str]:
        """Names of its states from the first on, one after itself left out."""
        found = self.ask("GET", f"/flow_run_states/?flow_run_id={run}")
        return [name for name, _ in groupby(s["name"] for s in sorted(found, key=lambda state: state["timestamp"]))]

    def cancel(self, run: UUID) -> None:
        """What the button does."""
        self.ask("POST", f"/flow_runs/{run}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})

    def runs(self, since: float) -> list[dict[str, Any]]:
        """Runs made since a time."""
        after = {"after_": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))}
        found = self.ask("POST", "/flow_runs/filter", flow_runs={"expected_start_time": after}, sort="START_TIME_ASC")
        return [run for run in found if run["created"] >= after["after_"]]

    def tasks(self, run: UUID) -> dict[str, str]:
        """State of each task run by its name; of two of one name, the later."""
        chosen = {"flow_runs": {"id": {"any_": [str(run)]}}}
        found = self.ask("POST", "/task_runs/filter", **chosen)
        return {t["name"]: t["state_name"] for t in sorted(found, key=lambda t: t["expected_start_time"] or "")}

    def artifacts(self, run: UUID) -> dict[str, str]:
        """Artifacts of a run: description by key."""
        found = self.ask("POST", "/artifacts/filter", artifacts={"flow_run_id": {"any_": [str(run)]}})
        return {one["key"]: one["description"] or "" for one in found if one["key"]}

    def untruths(self, run: UUID) -> list[str]:
        """What the UI says of an ended run that is not so: tasks that run, though nothing does."""
        state = self.run(run)["state_name"]
        wrong = [] if self.run(run)["state_type"] in FINAL else [f"the run is shown as {state}"]
        going = ("Running", "Pending", "Retrying")
        return wrong + [f"{name} is shown as {state}" for name, state in self.tasks(run).items() if state in going]

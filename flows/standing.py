"""What of the graph is up to date, as a table: `dvc status` in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from flows.recorder import open_workspace

SHOWN = 3
"""Reasons named in a line; the others are counted."""


def standing(workspace: Path) -> tuple[int, Mapping[str, list[str]]]:
    """How many instances there are, and why each of those that would run would.

    Raises:
        FlowError: there is no project, its files are not valid, or a run holds the workspace.
    """
    with open_workspace(workspace) as recorder:
        plan = recorder.graph.plan()
        report = recorder.status(plan)
    return len(plan.instances), {address: _reasons(told) for address, told in report.items()}


def table(count: int, changed: Mapping[str, Sequence[str]]) -> Table:
    """A line for each instance that would run."""
    out = Table("instance", "changed since it ran", title=f"{count - len(changed)} of {count} instances are up to date")
    for address, reasons in changed.items():
        more = f", and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        out.add_row(address, ", ".join(reasons[:SHOWN]) + more)
    return out


def _reasons(told: Sequence[Any]) -> list[str]:
    """DVC's `[{"changed deps": {"params.yaml": "modified"}}, "changed command"]` as a list of words."""
    reasons: list[str] = []
    for one in told:
        if isinstance(one, str):
            reasons.append(one.removeprefix("changed "))
            continue
        for what in one.values():
            for path, state in what.items():
                if isinstance(state, Mapping):  # params.yaml, with the parameters that changed
                    reasons += [f"{name} ({change})" for name, change in state.items()]
                else:
                    reasons.append(path if state == "modified" else f"{path} ({state})")
    return reasons

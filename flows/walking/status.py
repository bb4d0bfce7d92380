"""What of the graph is up to date, as a table: `dvc status` in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from flows.recording.recorder import look_into
from flows.walking.preview import CodeAhead

MAX_REASONS = 3
"""Reasons named in a line; the others are counted."""


def status(workspace: Path) -> tuple[int, Mapping[str, list[str]]]:
    """How many instances there are, and why each of those that would run would.

    Where code was edited since the stage `code` last ran, the instances whose code it is are named already.

    Raises:
        FlowError: there is no project, or its files are not valid.
    """
    with look_into(workspace) as recorder:
        plan = recorder.graph.plan()
        ahead = CodeAhead(recorder)
        code = {instance.address: ahead.changes(instance) for instance in plan.instances}
        reports = recorder.reasons(plan)
    reasons = {
        address: [*code[address], *(one for one in _reasons(reports.get(address, [])) if not _is_of(one, ahead.files))]
        for address in code
    }
    return len(plan.instances), {address: changed for address, changed in reasons.items() if changed}


def is_fresh(workspace: Path) -> bool:
    """Whether every instance is up to date, as `dvc status` would say.

    Raises:
        FlowError: there is no project, or its files are not valid.
    """
    with look_into(workspace) as recorder:
        return not any(recorder.changed(instance.address) for instance in recorder.graph.instances)


def table(count: int, changed: Mapping[str, Sequence[str]]) -> Table:
    """A line for each instance that would run."""
    out = Table("instance", "changed since it ran", title=f"{count - len(changed)} of {count} instances are up to date")
    for address, reasons in changed.items():
        more = f", and {len(reasons) - MAX_REASONS} more" if len(reasons) > MAX_REASONS else ""
        out.add_row(address, ", ".join(reasons[:MAX_REASONS]) + more)
    return out


def _is_of(reason: str, files: Mapping[str, str]) -> bool:
    """Whether a reason is about one of the files of stage `code`, which has been looked into instead."""
    return reason.partition(" (")[0] in files


def _reasons(entries: Sequence[Any]) -> list[str]:
    """DVC's `[{"changed deps": {"params.yaml": "modified"}}, "changed command"]` as a list of words."""
    reasons: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            reasons.append(entry.removeprefix("changed "))
            continue
        for what in entry.values():
            for path, state in what.items():
                if isinstance(state, Mapping):  # params.yaml, with the parameters that changed
                    reasons += [f"{name} ({change})" for name, change in state.items()]
                else:
                    reasons.append(path if state == "modified" else f"{path} ({state})")
    return reasons

"""What a walk leaves to look at, in the UI and on a terminal: the stages, the filter funnel, the scores."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from rich.table import Table
from rich.text import Text

from flows.recording.graph import InstanceOutcome
from tasks.core import paths
from tasks.core.log import console
from tasks.core.stage import read_json
from tasks.evaluation.names import MODELS

COLOURS = {"ran": "green", "restored": "cyan", "failed": "red", "skipped": "yellow", "to run": "green"}
Row = Mapping[str, str]


def headline(outcomes: Sequence[InstanceOutcome]) -> str:
    """`31 instances: 3 ran, 28 cached`."""
    counts = Counter(outcome.state for outcome in outcomes)
    return f"{len(outcomes)} instances: " + ", ".join(f"{number} {state}" for state, number in counts.items())


def publish(outcomes: Sequence[InstanceOutcome], workspace: Path) -> None:
    """Make the artifacts of the current flow run."""
    title = headline(outcomes)
    create_table_artifact([dict(row) for row in stages(outcomes)], key=key("stages"), description=title)
    create_markdown_artifact(markdown(title, _tables(outcomes, workspace)), key=key("summary"), description=title)


def key(name: str) -> str:
    """Key of an artifact of the current flow, `rebuild-stages`: versions of one key are of one flow."""
    flow = runtime.flow_run.flow_name or "run"
    return slug(f"{flow}-{name}")


def slug(text: str) -> str:
    """A text as a part of an artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def show(outcomes: Sequence[InstanceOutcome], workspace: Path) -> None:
    """Print the tables for people."""
    for title, rows in _tables(outcomes, workspace).items():
        if rows:
            console.print(_rich(title, rows))
    console.print(headline(outcomes))


def _tables(outcomes: Sequence[InstanceOutcome], workspace: Path) -> dict[str, Sequence[Row]]:
    return {"Stages": stages(outcomes), "Filter funnel": funnel(workspace), "Scores": scores(workspace)}


def stages(outcomes: Sequence[InstanceOutcome]) -> list[Row]:
    """One row an instance."""
    return [
        {"instance": o.address, "state": o.state, "seconds": f"{o.seconds:.1f}", "reason": o.reason} for o in outcomes
    ]


def funnel(workspace: Path) -> list[Row]:
    """What the filters dropped and kept, a row a sensor and one for all; nothing before `select` has run."""
    prefix = "select@"
    found = {
        path.stem.removeprefix(prefix): read_json(path)
        for path in sorted((workspace / paths.summary("x").parent).glob(f"{prefix}*.json"))
    }
    if len(found) > 1:
        found["all"] = {
            "candidates": sum(summary.get("candidates", 0) for summary in found.values()),
            "kept": sum(summary.get("kept", 0) for summary in found.values()),
            "dropped": sum((Counter(s.get("dropped", {})) for s in found.values()), Counter()),
        }
    filters = dict.fromkeys(name for summary in found.values() for name in summary.get("dropped", {}))
    return [
        {"sensor": sensor, "candidates": str(summary.get("candidates", ""))}
        | {f"- {name}": str(summary.get("dropped", {}).get(name, 0)) for name in filters}
        | {"kept": str(summary.get("kept", ""))}
        for sensor, summary in found.items()
    ]


def scores(workspace: Path) -> list[Row]:
    """Scores beside their baselines, a row a model and question type; nothing before `evaluate` has run."""
    found = [
        (model.title, kind, row)
        for key, model in MODELS.items()
        if (path := workspace / paths.evaluate(key) / "scores.json").is_file()
        for values in [read_json(path)]
        for kind, row in {"overall": values.get("overall", {}), **values.get("by_type", {})}.items()
    ]
    columns = dict.fromkeys(
        name for _, _, row in found for name, value in row.items() if isinstance(value, int | float)
    )
    return [
        {"model": title, "questions": kind} | {name: _number(row.get(name)) for name in columns}
        for title, kind, row in found
    ]


def markdown(title: str, tables: Mapping[str, Sequence[Row]]) -> str:
    """All tables as one page."""
    lines = [f"**{title}**"]
    for name, rows in tables.items():
        if rows:
            head = list(rows[0])
            lines += ["", f"## {name}", "", _line(head), _line(["---"] * len(head))]
            lines += [_line([row[column] for column in head]) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


def _rich(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False)
    shown = [column for column in rows[0] if any(row[column] for row in rows)]
    for column in shown:
        numeric = all(_is_number(row[column]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(row[column]) for column in shown), style=COLOURS.get(row.get("state", "")))
    return table


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit() or not text

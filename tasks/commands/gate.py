"""`earthloom gate`: two files of predictions, and whether the new model may take the place of the one in service."""

import io
import json
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

IN_REASONS = ("questions", "chips", "outcome")
"""Columns that the sentences below the table repeat."""


def gate(
    candidate: Path,
    in_service: Path | None = None,
    *,
    json_: Annotated[bool, cyclopts.Parameter(name="--json", negative=())] = False,
) -> None:
    """Judge a new model by its answers, as the flow `promote` does; the margins stand in params.yaml.

    The exit code is 0 if it holds, 1 if it is held back, 2 if it cannot be judged.

    Parameters
    ----------
    candidate
        Its predictions.parquet, with the answers of controls.
    in_service
        Those of the model in service to the same questions; without it, the candidate is held against its controls.
    json_
        One JSON object on stdout instead of a table.
    """
    from tasks.core.section import load
    from tasks.evaluation.gate import judge
    from tasks.evaluation.gate_params import PromoteParams
    from tasks.evaluation.metrics.predictions import read

    params = load(PromoteParams, "promote")
    verdict = judge(read(candidate, "vqa"), read(in_service, "vqa") if in_service else None, params)
    if json_:
        print(json.dumps(verdict.as_json(), allow_nan=False))
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        console = Console()
        console.print(table(verdict.rows()))
        for reason in verdict.reasons:
            console.print(Text(f"- {reason}"), soft_wrap=True)
        console.print("[green]It may be promoted.[/green]" if verdict.passed else "[red]It is held back.[/red]")
    if not verdict.passed:
        sys.exit(1)


def table(rows: list[dict[str, str]]) -> Table:
    """The rows of a verdict for a terminal; columns that say nothing are left out."""
    shown = [name for name in rows[0] if name not in IN_REASONS and any(row[name] for row in rows)]
    found = Table(*(Column(name, no_wrap=True) for name in shown), box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        found.add_row(*(Text(row[name]) for name in shown))
    return found

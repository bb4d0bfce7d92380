"""`earthloom import earthdial-instruct PATH`: the command, and the table it ends with."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from tasks.core import log, paths

if TYPE_CHECKING:
    from tasks.published.importer import Outcome

app = cyclopts.App(name="import", help="Bring in data sets of others, checked row by row.", result_action="return_none")


@app.command
def earthdial_instruct(
    path: Path,
    *,
    out: Path = paths.DATA / "imported",
    dataset: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    strict: bool = False,
    jobs: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))] = 1,
) -> None:
    """Read published EarthDial-Instruct folders into chips and conversations.

    Every row is checked: repaired where one reading only is possible, else refused with its reason. A command that
    was stopped goes on where it was. Leaves with 1 if anything could not be read at all; the rest is imported.

    Parameters
    ----------
    path
        The download, or one data set of it: a folder that `datasets.save_to_disk` wrote.
    out
        Where the imports go, a folder for each data set.
    dataset
        Import this data set only; may be given several times. `NAME=ENTRY` reads a folder that the registry does not
        know by its name as that entry.
    strict
        Refuse the rows that would be repaired.
    jobs
        Chunks worked on at a time.
    """
    from tasks.published.importer import import_all

    outcomes = import_all(path, out, dataset or [], strict, jobs)
    show(outcomes)
    if any(outcome.unreadable for outcome in outcomes):
        sys.exit(1)


def show(outcomes: "list[Outcome]") -> None:
    """Print what became of every data set."""
    from rich.table import Table

    table = Table(title="EarthDial-Instruct")
    for heading in ("data set", "read as"):
        table.add_column(heading)
    for heading in ("rows", "kept", "pairs"):
        table.add_column(heading, justify="right")
    for heading in ("repaired", "rejected", "flagged"):
        table.add_column(heading)
    table.add_column("rows/s", justify="right")
    for outcome in outcomes:
        tally = outcome.tally
        table.add_row(
            outcome.name,
            outcome.entry.name if outcome.entry else "-",
            *(f"{number:,}" for number in (tally.rows, tally.kept, tally.pairs)),
            *(_counts(counter) for counter in (tally.repaired, tally.rejected, tally.flagged)),
            f"{outcome.made / outcome.seconds:,.0f}" if outcome.made else "kept",
        )
    log.console.print(table)
    for outcome in outcomes:
        for file, reason in outcome.unreadable.items():
            where = f"{outcome.name}/{file}" if file else outcome.name
            log.console.print(f"[bold red]not read:[/bold red] {where} {reason}", soft_wrap=True, highlight=False)


def _counts(counter: Counter[str]) -> str:
    return "\n".join(f"{count:,} {name}" for name, count in sorted(counter.items()))

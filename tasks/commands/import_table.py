"""The table that an import ends with."""

import sys
from collections import Counter
from typing import TYPE_CHECKING

from tasks.core import log

if TYPE_CHECKING:
    from tasks.published.importer import ImportResult


def show(title: str, outcomes: "list[ImportResult]") -> None:
    """Print what became of every data set; leave with 1 if anything could not be read at all."""
    from rich.table import Table

    table = Table(title=title)
    for heading in ("data set", "read as"):
        table.add_column(heading)
    for heading in ("rows", "kept", "pairs"):
        table.add_column(heading, justify="right")
    for heading in ("repaired", "rejected", "flagged"):
        table.add_column(heading)
    table.add_column("rows/s", justify="right")
    for outcome in outcomes:
        counts = outcome.counts
        table.add_row(
            outcome.name,
            outcome.entry.name if outcome.entry else "-",
            *(f"{number:,}" for number in (counts.rows, counts.kept, counts.pairs)),
            *(_counts(counter) for counter in (counts.repaired, counts.rejected, counts.flagged)),
            f"{outcome.made / outcome.seconds:,.0f}" if outcome.made else "kept",
        )
    log.console.print(table)
    for outcome in outcomes:
        for file, reason in outcome.unreadable.items():
            where = f"{outcome.name}/{file}" if file else outcome.name
            log.console.print(f"[bold red]not read:[/bold red] {where} {reason}", soft_wrap=True, highlight=False)
    if any(outcome.unreadable for outcome in outcomes):
        sys.exit(1)


def _counts(counter: Counter[str]) -> str:
    return "\n".join(f"{count:,} {name}" for name, count in sorted(counter.items()))

"""`earthloom verify`: every pair of a shard verified once more, from what is stored beside it."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core import log

if TYPE_CHECKING:
    from tasks.dialogue.reverify import Verified

SHOWN = 10
"""Differences that are printed; all of them go into --report."""


def verify(shards: list[Path], /, *, chips: Path | None = None, report: Path | None = None) -> None:
    """Verify every pair of conversations once more, from the facts that their rows carry.

    Nothing else is asked: no catalog, no labels, no model. Leaves with 1 if a verdict is not the one that is stored,
    or a chip's facts are not those of its pixels.

    Parameters
    ----------
    shards
        Tables of conversations, or folders of them such as data/qa or data/qa/sentinel-2/a.
    chips
        Folder of the chips' shards, such as data/chips: statistics of the pixels are then held against the pixels.
    report
        Parquet file to write, a row for every difference.
    """
    from tasks.core import tables
    from tasks.dialogue import reverify

    done: list[Verified] = []
    began = time.process_time()
    for path in reverify.shards(shards):
        done.append(reverify.reverify(path))
    seconds = time.process_time() - began
    if chips is not None:
        for one in done:
            reverify.against_pixels(one, chips)
    differences = [row for one in done for row in one.differences]
    if report is not None:
        tables.write_rows(differences, reverify.DIFFERENCES, report)
    show(done, seconds)
    if differences:
        where = f"; all of them: {report}" if report else "; --report FILE writes all of them"
        log.console.print(
            f"[bold red]{len(differences):,} differences{where if len(differences) > SHOWN else ''}[/bold red]",
            soft_wrap=True,
        )
        for row in differences[:SHOWN]:
            log.console.print(_sentence(row), soft_wrap=True, highlight=False, markup=False)
        sys.exit(1)


def _sentence(row: dict[str, str]) -> str:
    place = f"{row['shard']}, {row['conversation_id']}"
    if not row["question"]:
        return f"{place}: {row['reason']}"
    stored = f"stored as '{row['stored']}', found {row['found']}"
    return f"{place}: '{row['question']}' '{row['answer']}' is {stored}. {row['reason']}".strip()


def show(done: "list[Verified]", seconds: float) -> None:
    """Print what became of every shard."""
    from rich.table import Table

    table = Table(title="Verified again")
    table.add_column("shard")
    for heading in ("pairs", "supported", "not checkable", "contradicted", "without facts", "chips decoded", "differ"):
        table.add_column(heading, justify="right")
    for one in done:
        states = [one.pairs[state] for state in ("supported", "not checkable", "contradicted")]
        counts = (sum(states), *states, one.without_facts, one.chips, len(one.differences))
        table.add_row(one.path.as_posix(), *(f"{count:,}" for count in counts))
    log.console.print(table)
    pairs = sum(sum(one.pairs.values()) for one in done)
    if pairs:
        log.console.print(f"{pairs:,} pairs, {pairs / max(seconds, 1e-9):,.0f} a CPU-second")

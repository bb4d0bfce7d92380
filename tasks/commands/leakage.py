"""`earthloom leakage`: which questions of benchmarks a training mixture has seen."""

from pathlib import Path
from typing import Annotated, Any

import cyclopts
from rich import box
from rich.table import Table

from tasks.commands.whole_tables import stdout_for
from tasks.core import log, paths
from tasks.core.errors import LeakageError
from tasks.core.stage import write_json
from tasks.evaluation.names import side_name

IMPORTED = Path("data/benchmarks/imported")


def leakage(
    training: Path,
    benchmarks: list[str],
    /,
    *,
    name: str | None = None,
    out: Annotated[Path, cyclopts.Parameter(help="folder to write")] = paths.DATA / "leakage",
) -> None:
    """Check benchmarks against a training mixture: same or nearly same images, shared texts, shared ground.

    Writes OUT/NAME/BENCHMARK/pairs.parquet and summary.json, which the board marks scores with.

    Parameters
    ----------
    training
        A mixture such as data/mixture/3/train.parquet, or a folder with samples.parquet.
    benchmarks
        Names of imported benchmarks, `demo` for the demo's held-out questions, or paths like those of TRAINING.
    name
        What the training side is called; from its path if not given.
    """
    from tasks.core import tables
    from tasks.evaluation.leakage.check import PAIRS, check
    from tasks.evaluation.leakage.sides import open_side

    called = name or side_name(training)
    rows = []
    for given in benchmarks:
        path = locate(given)
        label = given if path != Path(given) else side_name(path)
        done = check(open_side(training), open_side(path), (called, label))
        folder = out / called / label
        tables.write_rows(done.pairs, PAIRS, folder / "pairs.parquet")
        write_json(folder / "summary.json", done.summary)
        rows.append(done.summary)
        for side, count in done.summary["unreadable_count"].items():
            if count:
                first = done.summary["unreadable"][side][0]
                log.console.print(f"[yellow]{count} images of {side} could not be read, first: {first}[/yellow]")
    shown = table(called, rows)
    stdout_for(shown).print(shown)
    log.console.print(
        f"Pairs and summaries: {out / called}; `earthloom board` marks the runs with `training: {called}` in run.json"
    )


def locate(given: str) -> Path:
    """The files of a benchmark by its name, or the path itself.

    Raises:
        LeakageError: neither a name nor a path leads to files.
    """
    from tasks.evaluation.datasets.registry import HELD_OUT

    if given == HELD_OUT.name:
        return paths.mixture("3") / "test.parquet"
    imported = IMPORTED / given
    if (imported / "samples.parquet").is_file():
        return imported
    if Path(given).exists():
        return Path(given)
    raise LeakageError(
        f"there is no benchmark '{given}' in {IMPORTED}, and no file of that name; "
        f"`earthloom bench import {given} PATH` makes it"
    )


def table(training: str, summaries: list[dict[str, Any]]) -> Table:
    """The shares of every check."""
    shown = Table(
        title=f"Questions that {training} has seen, by kind of match", title_justify="left", box=box.SIMPLE_HEAD
    )
    for column in ("benchmark", "n", "same image", "near image", "text", "place", "any of these", "same question"):
        first = column == "benchmark"
        shown.add_column(column, justify="left" if first else "right", no_wrap=first)
    for summary in summaries:
        cells = [_cell(summary, kind) for kind in ("exact-image", "near-image", "text", "place", "any", "question")]
        shown.add_row(summary["benchmark"], f"{summary['samples']:,}", *cells)
    return shown


def _cell(summary: dict[str, Any], kind: str) -> str:
    """Count and share; a kind that the files do not allow to check says so, instead of 0."""
    if kind == "place" and not summary["checked"]["places"]:
        return "[dim]not known[/dim]"
    if kind in ("text", "question") and not summary["checked"]["samples_with_words"]:
        return "[dim]too short[/dim]"
    leaked = summary["leaked"][kind]
    text = f"{leaked['n']:,} ({100 * leaked['share']:.1f} %)"
    return f"[bold red]{text}[/bold red]" if leaked["n"] and kind != "question" else text

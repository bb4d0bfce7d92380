"""`earthloom bench`: what benchmarks there are, what of them is here, and how files become samples."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tasks.commands.whole_tables import stdout_for
from tasks.core import log

if TYPE_CHECKING:
    from tasks.evaluation.datasets.registry import Benchmark
    from tasks.evaluation.datasets.status import BenchmarkStatus

app = cyclopts.App(name="bench", help="Benchmarks: what there is, what of it is here, and how to get the rest.")
ROOT = Path("data/benchmarks")
OwnFolder = Annotated[
    Path | None,
    cyclopts.Parameter(name="--from", help="folder of own benchmarks: TOML rows and files; or EARTHLOOM_BENCHMARKS"),
]
_MARKS = {
    "imported": "[green]● imported[/green]",
    "files": "[yellow]◐ files here[/yellow]",
    "missing": "[dim]○ missing[/dim]",
}
WIDE = 110
"""Columns of a terminal from which all of the table is shown."""
_REBUILT = ("EarthDial", "RS-MoE-7B")
"""Models of the two papers, whose published figures stand in the list."""
_TASKS = {
    "classification": "Scene classification",
    "vqa": "Questions about an image",
    "detection": "Referred objects (boxes)",
    "grounding": "Grounded descriptions",
    "region_captioning": "Region captions",
    "captioning": "Captions",
    "change": "Change and disaster",
}


@app.command(name="list")
def list_(
    *,
    root: Annotated[Path, cyclopts.Parameter(help="folder of the benchmarks' files, a folder a data set")] = ROOT,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="for machines")] = False,
    own: OwnFolder = None,
) -> None:
    """Every benchmark: imported, its files here, or missing. Nothing is downloaded."""
    from tasks.evaluation.datasets.status import statuses

    include(own)
    rows = statuses(root)
    # What was asked for goes to stdout, so that it can be piped; logs and errors go to stderr.
    if as_json:
        Console().print_json(json.dumps([row.as_dict() for row in rows]))
        return
    wide = _table(rows, wide=True)
    console = stdout_for(wide)
    console.print(wide if console.width >= WIDE else _table(rows, wide=False))
    states = {state: sum(row.state == state for row in rows) for state in _MARKS}
    sets = len({row.benchmark.dataset for row in rows})
    console.print(
        f"{len(rows)} benchmarks over {sets} data sets in [bold]{root}[/bold]: {states['imported']} imported, "
        f"{states['files']} with files here, {states['missing']} missing.\n"
        "[dim]`earthloom bench show NAME` says whose the files are and how to get them; "
        "`earthloom bench import NAME PATH` takes them over.[/dim]"
    )


def include(own: Path | None) -> None:
    """Add a folder of own benchmarks, if one is given."""
    from tasks.evaluation.datasets import registry

    if own is not None:
        registry.include(own)


def _table(rows: list["BenchmarkStatus"], wide: bool) -> Table:
    """One table, a section a task, so that the columns stand under each other; less of it on a narrow terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("benchmark", no_wrap=True, min_width=max(len(row.benchmark.name) for row in rows) + 2)
    table.add_column("here", no_wrap=True, min_width=len("○ missing"))
    table.add_column("questions", justify="right", no_wrap=True, min_width=len("questions"))
    if wide:
        table.add_column("images", no_wrap=True)
        table.add_column("licence", no_wrap=True, max_width=22, overflow="ellipsis")
    table.add_column("published", no_wrap=True, overflow="ellipsis")
    for task, title in _TASKS.items():
        table.add_row(f"[bold]{title}[/bold]")
        for row in (row for row in rows if row.benchmark.task == task):
            table.add_row(*_cells(row, wide))
        table.add_section()
    return table


def _cells(row: "BenchmarkStatus", wide: bool) -> list[str | Text]:
    from tasks.evaluation.datasets import registry

    benchmark = row.benchmark
    number = row.samples if row.samples is not None else benchmark.samples
    licence = registry.datasets()[benchmark.dataset].licence
    return [
        f"  {benchmark.name}",
        _MARKS[row.state] + ("" if row.comparable in (None, True) else " [dim]not comparable[/dim]"),
        f"{number:,}" if number else Text("?", style="dim"),
        *([benchmark.modality, licence or Text("unknown", style="dim")] if wide else []),
        _headline(benchmark.name),
    ]


def _headline(name: str) -> str:
    """The first published figure of the systems rebuilt here, the paper's where there is one."""
    from tasks.evaluation.datasets import registry

    ours = [figure for figure in registry.published(name) if figure.model in _REBUILT]
    if not ours:
        return "[dim]none known[/dim]"
    first = min(ours, key=lambda figure: (_REBUILT.index(figure.model), figure.kind != "paper"))
    return f"{first.value:6.2f}  {first.model}[dim], {first.metric}[/dim]"


@app.command
def show(
    name: str,
    *,
    root: Annotated[Path, cyclopts.Parameter(help="folder of the benchmarks' files, a folder a data set")] = ROOT,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="for machines")] = False,
    own: OwnFolder = None,
) -> None:
    """One benchmark: whose it is, how to get it, what is asked, and what was published on it."""
    from tasks.evaluation.datasets import registry
    from tasks.evaluation.datasets.status import folder_of, statuses

    include(own)
    benchmark = registry.get(name)
    row = next(row for row in statuses(root) if row.benchmark.name == name)
    console = Console()
    if as_json:
        console.print_json(json.dumps(row.as_dict()))
        return
    dataset = registry.datasets()[benchmark.dataset]
    counted = f"{benchmark.samples:,} ({benchmark.samples_from})" if benchmark.samples else "number not known"
    bands = f", {len(benchmark.bands)} bands: {' '.join(benchmark.bands)}" if benchmark.bands else ""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for key, value in (
        ("data set", dataset.title),
        ("licence", dataset.licence or "unknown"),
        ("owner", dataset.homepage),
        ("paper", dataset.paper or "unknown"),
        ("to get it", dataset.obtain),
        ("put it in", str(folder_of(benchmark, root))),
        ("scored as", benchmark.task),
        (
            "images",
            f"{benchmark.modality}, {benchmark.sensor}{bands}",
        ),
        ("split", f"{benchmark.split}, {counted}"),
        ("prompt", f"{benchmark.prompt!r}"),
        ("", f"from {benchmark.prompt_from}"),
        ("notes", benchmark.notes),
    ):
        if value:
            facts.add_row(key, Text(value))
    console.print(Panel(facts, title=f"[bold]{benchmark.title}[/bold]  {_MARKS[row.state]}", title_align="left"))
    console.print(_sources(benchmark))
    console.print(_figures(name))


def _sources(benchmark: "Benchmark") -> Table:
    table = Table(title="Forms its files come in", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("source", "files", "comparable", "format"):
        table.add_column(column)
    for source in benchmark.sources:
        seen = Text("confirmed" if source.confirmed else "unconfirmed", "" if source.confirmed else "yellow")
        table.add_row(
            source.name,
            Text(source.layout),
            "yes" if source.comparable else "no",
            seen.append(f": {source.evidence}", style=""),
        )
    return table


def _figures(name: str) -> Table | str:
    from tasks.evaluation.datasets import registry

    figures = registry.published(name)
    if not figures:
        return "[dim]No published score is known to us.[/dim]"
    table = Table(title="Published scores", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("model", "metric", "value", "n", "from"):
        table.add_column(column, justify="right" if column in ("value", "n") else "left")
    for figure in figures:
        note = f"; {figure.note}" if figure.note else ""
        n = f"{figure.n:,}" if figure.n else ""
        table.add_row(figure.model, figure.metric, f"{figure.value:.2f}", n, f"{figure.source}{note}")
    return table


@app.command(name="import")
def import_(
    name: str,
    path: Path | None = None,
    *,
    out: Annotated[Path | None, cyclopts.Parameter(help="folder to write")] = None,
    source: Annotated[str | None, cyclopts.Parameter(help="form the files are in; found out if not given")] = None,
    embed: Annotated[bool, cyclopts.Parameter(negative="", help="put the images into the table")] = False,
    check: Annotated[bool, cyclopts.Parameter(help="decode every image to its end")] = True,
    own: OwnFolder = None,
) -> None:
    """Take over the files of one benchmark as samples; what cannot be is named and counted.

    Without PATH the files are looked for where `bench show` says. Without --out, samples go to
    data/benchmarks/imported/NAME, where runs look for them.
    """
    from tasks.evaluation.datasets import importer, registry
    from tasks.evaluation.datasets.status import folder_of, imported_folder

    include(own)
    benchmark = registry.get(name)
    folder = out or imported_folder(name, ROOT)
    done = importer.run(benchmark, path or folder_of(benchmark, ROOT), folder, source, embed, check)
    log.console.print(
        f"[bold]{done.samples:,}[/bold] questions about {done.images:,} images from source {done.source} -> {folder}"
    )
    if done.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in done.rejected.items())
        log.console.print(
            f"[yellow]Left out: {reasons}[/yellow]; each with its reason in {folder / 'quarantine.parquet'}"
        )
    if done.published_samples and done.published_samples != done.samples:
        log.console.print(
            f"[yellow]{done.published_samples:,} questions are in the published split ({benchmark.samples_from}); "
            f"scores on {done.samples:,} are not scores on it.[/yellow]"
        )
    if not done.comparable:
        log.console.print(
            "[yellow]Not the questions or images of the published scores: they do not stand side by side.[/yellow]"
        )
    if not done.confirmed:
        log.console.print("[yellow]The format is not confirmed: look at a few samples first.[/yellow]")

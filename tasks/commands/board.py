"""`earthloom board`: models by benchmark as one page."""

from pathlib import Path
from typing import Annotated

import cyclopts

from tasks.commands.bench import OwnFolder, include
from tasks.core import log, paths

OUT = paths.DATA / "board" / "index.html"


def board(
    *,
    runs: Annotated[
        Path, cyclopts.Parameter(help="folder of runs, MODEL/BENCHMARK/predictions.parquet and run.json")
    ] = paths.DATA / "benchmarks-runs",
    out: Annotated[Path, cyclopts.Parameter(help="file to write")] = OUT,
    against: Annotated[
        tuple[str, str] | None, cyclopts.Parameter(help="two models: the second is held against the first")
    ] = None,
    own: OwnFolder = None,
) -> None:
    """Write the board: every score beside its controls, its interval and its marks; nothing outside the page.

    The demo's own held-out questions stand on it as benchmark `demo`, once `earthloom demo` has run.
    """
    from tasks.core.stage import atomic
    from tasks.pages.board import BoardInputs, page

    include(own)
    with log.console.status("Scoring"):
        text = page(BoardInputs(runs=runs), against)
    with atomic(out) as partial:
        partial.write_text(text, encoding="utf-8")
    log.console.print(f"Board: [bold]{out.resolve().as_uri()}[/bold]", soft_wrap=True)

"""`earthloom review`: a page on which a person looks at pairs and decides."""

import socket
from pathlib import Path
from typing import Annotated

import cyclopts

from tasks.core import log, paths
from tasks.core.errors import EarthloomError
from tasks.dialogue.decisions import FILE, Decisions


class ReviewError(EarthloomError):
    """The page cannot be served."""


def review(
    shards: list[Path] | None = None,
    /,
    *,
    decisions: Path = FILE,
    chips: Path = paths.DATA / "chips",
    pairs: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))] = 200,
    seed: int = 0,
    rejected: bool = False,
    score: bool = False,
    port: int = 8001,
) -> None:
    """Look at pairs beside their chip, labels and evidence, and accept, correct or reject them by keyboard.

    Decisions go into a file that the next build honours, and that measures the verifier against people.

    Parameters
    ----------
    shards
        Tables of conversations or folders of them; data/qa if not given.
    decisions
        File that decisions are added to, a line each. Keep it in git.
    chips
        Folder of the chips' shards.
    pairs
        Pairs that are shown, at most: a fixed sample, all kinds in turn.
    seed
        Of the sample: another reviewer may take another.
    rejected
        Show pairs too that the verifier did not believe.
    score
        Print what people decided of which verdict, and serve nothing.
    port
        Port to listen on, on this machine alone; 0 for a free one.
    """
    from tasks.review.session import Session, choose

    made = Decisions(decisions)
    if score:
        show(made)
        return
    chosen = choose(shards or [paths.DATA / "qa"], pairs, seed, rejected)

    import uvicorn

    from tasks.review.app import make_app

    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ReviewError(f"cannot listen on port {port}: {error}; choose another with --port") from error
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    log.console.print(
        f"Page:      {address}\nPairs:     {len(chosen):,}\nDecisions: {decisions}\nCtrl-C stops.", soft_wrap=True
    )
    config = uvicorn.Config(make_app(Session(chosen, made, chips)), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def show(decisions: Decisions) -> None:
    """Print the table of verdicts and decisions."""
    from rich.table import Table

    from tasks.review.session import score

    table = Table(title=f"Verifier and people, {len(decisions):,} pairs")
    table.add_column("verifier")
    for heading in ("accepted", "corrected", "rejected"):
        table.add_column(heading, justify="right")
    for verdict, counts in score(decisions).items():
        table.add_row(verdict, *(f"{counts.get(name, 0):,}" for name in ("accept", "correct", "reject")))
    log.console.print(table)

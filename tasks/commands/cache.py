"""`earthloom cache`: what is kept of single scenes on this machine, and how it is kept small."""

from pathlib import Path
from typing import Annotated

import cyclopts

from tasks.core import log
from tasks.core.errors import ParamsError
from tasks.core.results import VARIABLE, Results

DAY = 86_400.0
GB = 1_000_000_000


def cache(
    *,
    older_than: float | None = None,
    most: float | None = None,
    folder: Annotated[Path | None, cyclopts.Parameter(env_var=VARIABLE)] = None,
) -> None:
    """Say how much is kept of single scenes, and remove what no run has used for long: it can be made again.

    Parameters
    ----------
    older_than
        Days since the last use, above which a result is removed.
    most
        Gigabytes that may stay; what was used longest ago goes first.
    folder
        The cache; or EARTHLOOM_CACHE. Otherwise this checkout's own, .earthloom/results.
    """
    for flag, value in (("--older-than", older_than), ("--most", most)):
        if value is not None and value < 0:
            raise ParamsError(f"{flag} is {value:g}: it cannot be below 0")
    store = Results(folder) if folder is not None else Results.shared()
    if not store.root.is_dir():
        log.console.print(f"Nothing is kept: {store.root} is not there.", soft_wrap=True)
        return
    age = None if older_than is None else older_than * DAY
    pruned = store.prune(age, None if most is None else int(most * GB))
    text = f"{pruned.kept:,} results of {pruned.held / GB:.3f} GB are kept in {store.root}"
    if pruned.removed:
        text += f"; {pruned.removed:,} of {pruned.freed / GB:.3f} GB were removed"
    log.console.print(f"{text}.", soft_wrap=True, highlight=False)

"""`earthloom publish`: an exported checkpoint to a hub of models."""

from pathlib import Path
from typing import Annotated

import cyclopts

from tasks.core import log


def publish(
    folder: Path,
    /,
    *,
    to: str,
    private: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    branch: str | None = None,
    tag: str | None = None,
    dry_run: Annotated[bool, cyclopts.Parameter(negative=())] = False,
) -> None:
    """Send a checkpoint that `earthloom weights export` wrote to a hub of models, after a look at every file.

    The hub is that of HF_ENDPOINT, Hugging Face's if it is not set; the token is taken from HF_TOKEN and nowhere else.
    Pickles, links, secrets, and settings that name a place of this machine are refused.

    Parameters
    ----------
    folder
        That `earthloom weights export` wrote.
    to
        OWNER/NAME of the model.
    private
        Make the repository private, if it is new.
    branch
        To commit to, made if it is not there; the main one if not given.
    tag
        Set on the commit, such as v0.0.3, so that others can ask for exactly this one.
    dry_run
        Only say what would be sent; needs no token.
    """
    from tasks.exchange.checkpoints.publish import check
    from tasks.exchange.checkpoints.publish import publish as send

    files = check(folder)
    for file in files:
        log.console.print(f"{file.bytes:>15,}  {file.name}", highlight=False, soft_wrap=True)
    total = sum(file.bytes for file in files)
    if dry_run:
        log.console.print(f"{total:>15,}  bytes in {len(files)} files would be sent to {to}", highlight=False)
        return
    log.console.print(f"sent to {send(folder, to, private, branch, tag)}", soft_wrap=True, highlight=False)

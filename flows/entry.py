"""What every flow does: validate the parameters, then walk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.artifacts import headline
from flows.walk import walk
from tasks.check import validate
from tasks.core.errors import EarthloomError


def run(
    targets: Sequence[str] = (), jobs: int | None = None, dry_run: bool = False, force: Sequence[str] = ()
) -> State[Any]:
    """Validate params.yaml, then walk the current folder. A flow returns the state that this returns."""
    workspace = Path.cwd()
    try:
        validate(workspace / "params.yaml")
        return Completed(message=headline(walk(workspace, targets, jobs, dry_run, force)))
    except EarthloomError as error:
        # A state instead of an exception: the log shows people the message, not a traceback.
        return Failed(message=str(error), data=error)

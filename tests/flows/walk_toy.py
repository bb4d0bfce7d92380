"""A walk as a process of its own, in the current folder: to be killed, interrupted, or refused."""

import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows import command_line
from flows.walking.walk import walk
from tasks.core.errors import EarthloomError


@flow(name="toy")
def toy() -> State[Any]:
    """Walk the whole project."""
    try:
        walk(Path.cwd(), jobs=3)
        return Completed()
    except EarthloomError as error:
        return Failed(message=str(error), data=error)


if __name__ == "__main__":
    sys.exit(command_line.call(toy))

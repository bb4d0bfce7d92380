"""Flow `build`: the whole graph, or the targets named."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import command_line
from flows.walk import walk_here


@flow(name="build")
def build(targets: list[str] | None = None, jobs: int | None = None, dry_run: bool = False) -> State[Any]:
    """Bring the whole graph up to date, from the scenes to the report.

    Args:
        targets: Stages or instances to bring up to date, with all they depend on; everything by default.
        jobs: Commands at a time; as many as there are CPUs by default.
        dry_run: Only say what would be done.
    """
    return walk_here(targets or (), jobs, dry_run)


if __name__ == "__main__":
    command_line.main(build)

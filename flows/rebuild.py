"""Flow `rebuild`: a new version of the dataset, from the scenes to the split."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import command_line
from flows.walk import walk_here

TARGETS = ("check", "scenes", "scan", "labels", "select", "chips", "qa", "split")


@flow(name="rebuild")
def rebuild(refresh: bool = False, jobs: int | None = None, dry_run: bool = False) -> State[Any]:
    """Bring the dataset up to date, from the scenes to the split.

    Args:
        refresh: Ask the catalog again, though nothing changed here; if it answers as before, no more runs.
        jobs: Commands at a time; as many as there are CPUs by default.
        dry_run: Only say what would be done.
    """
    return walk_here(TARGETS, jobs, dry_run, force=("scenes",) if refresh else ())


if __name__ == "__main__":
    command_line.main(rebuild)

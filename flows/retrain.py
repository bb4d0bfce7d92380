"""Flow `retrain`: the mixtures, the three training stages, the evaluation."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import command_line
from flows.walk import walk_here

TARGETS = ("mixture", "train", "evaluate")


@flow(name="retrain")
def retrain(jobs: int | None = None, dry_run: bool = False) -> State[Any]:
    """Train and evaluate on the dataset, which is itself brought up to date where it is not.

    Args:
        jobs: Commands at a time; as many as there are CPUs by default.
        dry_run: Only say what would be done.
    """
    return walk_here(TARGETS, jobs, dry_run)


if __name__ == "__main__":
    command_line.main(retrain)

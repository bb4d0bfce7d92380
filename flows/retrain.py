"""Flow `retrain`: the mixtures, the training stages of both networks, the evaluation."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.runs import MAIN, carry_out
from flows.versions.release import TRAINED

TARGETS = ("mixture", "train", "evaluate")


@flow(name="retrain")
def retrain(
    targets: list[str] | None = None,
    jobs: int | None = None,
    dry_run: bool = False,
    force: list[str] | None = None,
    repository: str | None = None,
    revision: str = MAIN,
    branch: str = MAIN,
) -> State[Any]:
    """Train and evaluate on the dataset, which is itself brought up to date where it is not.

    In a deployment, training and evaluation run on the GPU pool, and the model is released as a version.

    Args:
        targets: Stages or instances in place of all three; then no version is released.
        jobs: Commands at a time; as many as there are CPUs by default.
        dry_run: Only say what would be done.
        force: Stages or instances that run even if nothing has changed.
        repository: URL of the git repository to clone; the current folder by default.
        revision: Branch, tag or commit of it: the dataset to train on.
        branch: Gets the commit of the new version.
    """
    return carry_out(
        targets or TARGETS,
        jobs=jobs,
        dry_run=dry_run,
        force=force or (),
        repository=repository,
        revision=revision,
        branch=branch,
        kind=None if targets else TRAINED,
    )

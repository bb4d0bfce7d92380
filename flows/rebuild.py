"""Flow `rebuild`: a new version of the dataset, from the scenes to the split."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.runs import MAIN, carry_out
from flows.versions.release import DATASET

TARGETS = ("check", "scenes", "scan", "labels", "select", "chips", "qa", "split")


@flow(name="rebuild")
def rebuild(
    refresh: bool = False,
    targets: list[str] | None = None,
    jobs: int | None = None,
    dry_run: bool = False,
    force: list[str] | None = None,
    repository: str | None = None,
    revision: str = MAIN,
    branch: str = MAIN,
) -> State[Any]:
    """Bring the dataset up to date, from the scenes to the split; in a deployment, release it as a version.

    Args:
        refresh: Ask the catalog again, though nothing changed here; if it answers as before, no more runs.
        targets: Stages or instances in place of the whole dataset; then no version is released.
        jobs: Commands at a time; as many as there are CPUs by default.
        dry_run: Only say what would be done.
        force: Stages or instances that run even if nothing has changed.
        repository: URL of the git repository to clone; the current folder by default.
        revision: Branch, tag or commit of it.
        branch: Gets the commit of the new version.
    """
    return carry_out(
        targets or TARGETS,
        jobs=jobs,
        dry_run=dry_run,
        force=[*(force or ()), *(["scenes"] if refresh else [])],
        repository=repository,
        revision=revision,
        branch=branch,
        kind=None if targets else DATASET,
    )

"""Flow `build`: the whole graph, or the targets named."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.runs import MAIN, carry_out


@flow(name="build")
def build(
    targets: list[str] | None = None,
    jobs: int | None = None,
    dry_run: bool = False,
    force: list[str] | None = None,
    repository: str | None = None,
    revision: str = MAIN,
) -> State[Any]:
    """Bring the whole graph up to date, from the scenes to the report. No version is released.

    Args:
        targets: Stages or instances to bring up to date, with all they depend on; everything by default.
        jobs: Commands at a time; as many as there are CPUs by default.
        dry_run: Only say what would be done.
        force: Stages or instances that run even if nothing has changed.
        repository: URL of the git repository to clone; the current folder by default.
        revision: Branch, tag or commit of it.
    """
    return carry_out(
        targets or (), jobs=jobs, dry_run=dry_run, force=force or (), repository=repository, revision=revision
    )

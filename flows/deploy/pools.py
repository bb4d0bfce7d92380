"""The work pools, and how many task runs with a tag there are at a time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.deploy.change import Change, differing
from tasks.core.errors import ServiceError

PROCESS = "process"
"""The type of the pools whose workers run flows beside themselves; the default."""


def ensure_pools(client: SyncPrefectClient, names: Sequence[str], kind: str, templates: Path) -> list[Change]:
    """Make the pools, of one type, with the base job template of the project for it.

    Args:
        client: of the server.
        names: of the pools.
        kind: `process`, or the name of a file in `templates`: `docker`, `kubernetes`.
        templates: folder of base job templates, `<kind>.json`.

    Raises:
        ServiceError: there is no such template, or a pool of that name has another type.
    """
    template = _template(kind, templates)
    changes = []
    for name in names:
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
            changes.append(Change("pool", name, "created", kind))
            continue
        if pool.type != kind:
            raise ServiceError(
                f"the pool {name} is of type {pool.type}, not {kind}, and a pool's type stays: "
                f"--pool-type {pool.type}, or delete it (prefect work-pool delete {name})"
            )
        # A worker that came first made the pool without one; what people set of a process pool since is theirs.
        missing = not pool.base_job_template if kind == PROCESS else pool.base_job_template != template
        if missing:
            client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
        changes.append(Change("pool", name, "updated" if missing else "unchanged", "template" if missing else kind))
    return changes


def ensure_limits(client: SyncPrefectClient, wanted: Mapping[str, int]) -> list[Change]:
    """Set how many task runs with a tag there are at a time, over all flows of the server."""
    there = {limit.tag: limit.concurrency_limit for limit in client.read_concurrency_limits(limit=200, offset=0)}
    changes = []
    for tag, limit in wanted.items():
        detail = differing({"limit": limit}, {"limit": there.get(tag)})
        if detail:
            client.create_concurrency_limit(tag=tag, concurrency_limit=limit)
        state = "unchanged" if not detail else "updated" if tag in there else "created"
        changes.append(Change("limit", tag, state, str(limit)))  # type: ignore[arg-type]
    return changes


def _template(kind: str, templates: Path) -> dict[str, Any]:
    if kind == PROCESS:
        return ProcessWorker.get_default_base_job_template()
    path = templates / f"{kind}.json"
    if not path.is_file():
        found = sorted(path.stem for path in templates.glob("*.json"))
        raise ServiceError(f"--pool-type {kind}: there is no {path}; there are {', '.join([PROCESS, *found])}")
    template: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return template

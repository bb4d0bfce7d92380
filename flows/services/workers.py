"""A worker for each of the two pools; what it runs works in workspaces under EARTHLOOM_HOME."""

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from flows.services import server, store
from flows.services.daemon import Daemon
from flows.services.secrets import Secrets
from flows.services.settings import Settings, clean_environment
from flows.walking.limits import CLIENT

LIMITS: dict[str, int | None] = {"cpu": None, "gpu": 1}
"""Runs at a time of the worker of each pool; a machine's devices are for one."""
START_TIMEOUT = 120.0
GRACE = 75.0
"""Seconds in which a run ends its commands, tells the server, and its worker ends."""


def names() -> list[str]:
    """The services: `worker-cpu`, `worker-gpu`."""
    return [f"worker-{kind}" for kind in LIMITS]


def start(services: Path, settings: Settings, secrets: Secrets, name: str) -> None:
    """Start one and wait until the server knows it.

    Raises:
        ServiceError: it does not start.
    """
    kind = name.removeprefix("worker-")
    home = services / name
    home.mkdir(exist_ok=True, mode=0o700)
    limit = LIMITS[kind]
    daemon = Daemon(services, name)
    since = datetime.now(UTC)
    worker = f"{socket.gethostname()}-{kind}"
    process = daemon.start(
        [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--pool", f"earthloom-{kind}",
         "--name", worker, "--install-policy", "never", *(["--limit", str(limit)] if limit else [])],
        clean_environment() | dict(CLIENT) | environment(services, settings, secrets) | {
            "PREFECT_HOME": str(home),
            "PYTHONUNBUFFERED": "1",
        },
        folder=home,
    )  # fmt: skip
    daemon.wait(process, lambda: _is_online(settings, secrets, f"earthloom-{kind}", worker, since), START_TIMEOUT)


def stop(services: Path, name: str) -> bool:
    """End one, and the runs that it has; whether it ran."""
    return Daemon(services, name).stop(GRACE, below=True)


def environment(services: Path, settings: Settings, secrets: Secrets) -> dict[str, str]:
    """What a worker on this machine, or a person, sets to work with these services."""
    return {
        "EARTHLOOM_HOME": str(services.parent),
        **server.environment(settings, secrets),
        **(store.environment(settings, secrets) if settings.store else {}),
        **({"EARTHLOOM_REPOSITORIES": settings.repositories} if settings.repositories else {}),
    }


def _is_online(settings: Settings, secrets: Secrets, pool: str, worker: str, since: datetime) -> bool:
    try:
        with SyncPrefectClient(
            f"{settings.local_url}/api",
            auth_string=secrets.api if settings.auth else None,
            httpx_settings={"trust_env": False},
        ) as client:
            known = client.read_workers_for_work_pool(pool)
    except (httpx.HTTPError, ObjectNotFound):
        return False
    # The server remembers one of the same name that was killed as online for a while.
    return any(w.name == worker and w.last_heartbeat_time and w.last_heartbeat_time >= since for w in known)

"""The subcommands `earthloom up` and `earthloom down`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from flows.versions.host import Host
from tasks.core.log import console

if TYPE_CHECKING:  # Prefect's client and the store's take a second to import, and every command reads this file
    from flows.services.settings import Settings
    from flows.services.stack import Service


def up(
    *,
    host: str | None = None,
    port: int | None = None,
    database_port: int | None = None,
    store_port: int | None = None,
    url: str | None = None,
    auth: bool | None = None,
    store: bool | None = None,
    workers: bool | None = None,
    repositories: str | None = None,
    database_user: str | None = None,
    containers: bool = False,
    print_env: bool = False,
) -> None:
    """Start a Prefect server on PostgreSQL, an object store and a worker a pool on this machine; nothing twice.

    What is not given is as it was the last time. Everything listens on loopback unless --host says otherwise.

    Parameters
    ----------
    host
        Address that the server and the object store listen on (127.0.0.1). Beyond loopback authentication is on.
    port
        Port of the Prefect server (4200).
    database_port
        Port of PostgreSQL, always on loopback (5442).
    store_port
        Port of the object store (8333); the seven after it are for its parts, on loopback.
    url
        Where people reach the server, if not at its host and port: https://prefect.example.org
    auth
        Ask for a password on loopback too.
    store
        Start the object store; with --no-store, runs use the remote that EARTHLOOM_REMOTE names.
    workers
        Start the workers; with --no-workers they run on other machines.
    repositories
        Git URLs that the workers may clone, with commas between them (this checkout's origin).
    database_user
        Whom PostgreSQL runs as when root starts it (postgres).
    containers
        As containers, by docker compose on infra/compose.yaml, instead of processes.
    print_env
        Print the lines with which a shell works with the services; they hold secrets.
    """
    from flows.services import containers as compose
    from flows.services import stack
    from flows.services.settings import folder, origin, read

    home = Host.here().home
    if repositories is None and (containers or read(folder(home)) is None):
        repositories = origin(Path.cwd()) or None
    options = {
        "host": host,
        "port": port,
        "database_port": database_port,
        "store_port": store_port,
        "url": url,
        "auth": auth,
        "store": store,
        "workers": workers,
        "repositories": repositories,
        "database_user": database_user,
    }
    if containers:
        folder(home).mkdir(parents=True, exist_ok=True)
        compose.compose(Path.cwd(), "up", "--detach", "--wait", environment=compose.variables(folder(home), options))
        return
    settings, services = stack.up(home, options)
    console.print(_table(services))
    for line in _notes(settings):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if print_env:
        sys.stdout.write(stack.environment(home))
    else:
        console.print(f"source {folder(home) / 'env.sh'}", markup=False, highlight=False, soft_wrap=True)


def down(*, containers: bool = False) -> None:
    """End what `earthloom up` started, with the runs of its workers. Data stay; `earthloom up` goes on with them.

    Parameters
    ----------
    containers
        What was started by `earthloom up --containers`.
    """
    from flows.services import containers as compose
    from flows.services import stack
    from flows.services.settings import folder

    if containers:
        services = folder(Host.here().home)
        services.mkdir(parents=True, exist_ok=True)
        compose.compose(Path.cwd(), "down", environment=compose.variables(services, {"repositories": "-"}))
        return
    ran = stack.down(Host.here().home)
    console.print(f"Ended: {', '.join(ran)}." if ran else "Nothing was running.")


def _table(services: list["Service"]) -> Table:
    table = Table("service", "state", "where", show_edge=False)
    for service in services:
        table.add_row(service.name, service.state, service.url)
    return table


def _notes(settings: "Settings") -> list[str]:
    notes = []
    if not settings.is_loopback:
        notes.append(
            f"{settings.host} can be reached from other machines. Passwords travel as they are typed: put a proxy with "
            "TLS before it, or keep to a network that is yours."
        )
    if settings.workers and not settings.repositories:
        notes.append("The workers may clone no repository: earthloom down, then up with --repositories URL.")
    return notes

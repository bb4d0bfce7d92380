"""The subcommand `earthloom deploy`."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.table import Table

from tasks.core.errors import ServiceError
from tasks.core.log import console
from tasks.core.section import PARAMS_FILE, read_params

if TYPE_CHECKING:  # Prefect's client takes a second to import, and every command reads this file
    from flows.deploy.change import Change


def deploy(
    *,
    repository: str | None = None,
    pool_type: str = "process",
    notify: str | None = None,
    prune: bool = False,
) -> None:
    """Bring the configured Prefect server to what prefect.yaml says: pools, limits, deployments, automations.

    A second run changes nothing. What people switched off by hand stays off.

    Parameters
    ----------
    repository
        URL of the git repository whose commits the runs work on; that of this checkout's remote `origin` if not given.
    pool_type
        How runs are started: process, or docker or kubernetes, by infra/pools.
    notify
        Block that sends messages when a run fails, or no dataset is released: slack-webhook/ops
    prune
        Remove what prefect.yaml no longer has; without it, it is only named.
    """
    from flows.deploy.plan import bring_up_to_date
    from flows.deploy.server import connected

    checkout = Path.cwd()
    catalogs = sorted(read_params(checkout / PARAMS_FILE).get("catalogs", {}))
    chosen = _repository(repository, checkout)
    with connected() as client:
        changes = bring_up_to_date(client, checkout, catalogs, chosen, pool_type, notify, prune)
    console.print(_table(changes))
    states = [change.state for change in changes]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    console.print(", ".join(f"{number} {state}" for state, number in counts.items()))
    if counts.get("not declared"):
        console.print("What is not declared stays; --prune removes it.")


def _repository(given: str | None, checkout: Path) -> str:
    """The URL that runs clone.

    Raises:
        ServiceError: there is none, or it holds a password: the server shows a deployment's parameters to everybody.
    """
    from flows.services.settings import origin

    found = given or origin(checkout)
    if not found:
        raise ServiceError("--repository: this checkout has no remote `origin`; give the URL that the workers clone")
    if "://" in found and (urlsplit(found).password or (urlsplit(found).username and "http" in urlsplit(found).scheme)):
        raise ServiceError(
            "--repository: the URL holds a password or a token, and the server shows it to everybody. Leave it out; a "
            "worker has it from git's credential helper, or uses a key over ssh."
        )
    return found


def _table(changes: list["Change"]) -> Table:
    colours = {"created": "green", "updated": "cyan", "not declared": "yellow", "removed": "red"}
    table = Table("kind", "name", "state", "detail", show_edge=False)
    for change in changes:
        table.add_row(change.kind, change.name, change.state, change.detail, style=colours.get(change.state))
    return table

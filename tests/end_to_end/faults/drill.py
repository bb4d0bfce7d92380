"""What drills have in common: a run to break, and what must be so at the end."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import yaml

from tests.end_to_end.faults import books
from tests.end_to_end.faults.hosts import Host
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template

Hosts = Callable[..., Host]
REBUILD, RETRAIN = "rebuild/weekly", "retrain/released"


def rebuild(server: Server, mine: Template, branch: str = "split") -> UUID:
    """Ask for a rebuild of a branch: it runs `check` and `split` and releases a version on the branch."""
    return server.start(REBUILD, repository=str(mine.origin), revision=branch, branch=branch, refresh=False)


def held_at_split(server: Server, mine: Template, one: Host) -> UUID:
    """A rebuild that has come to `split` on this host, whose command waits there until `one.release("split")`."""
    one.order("split")
    one.work("cpu")
    run = rebuild(server, mine)
    one.waiting("split")
    return run


def trained(row: Row, server: Server, mine: Template, run: UUID, *hosts: Host, branch: str) -> None:
    """The retraining has completed, GPU workers have handed back what `dvc repro` writes, and the UI says so."""
    ended = server.wait(run)
    row.states.append(" > ".join(server.states(run)))
    assert ended["state_type"] == "COMPLETED", "\n".join([str(ended["state"]), *(host.log() for host in hosts)])
    check(row, server, mine, *hosts, answers=["train@1"], branch=branch)
    assert not server.untruths(run)


def whole(row: Row, server: Server, mine: Template, ended: Any, *hosts: Host) -> None:
    """The run has released the version, once, and all is as without the fault; the UI says so."""
    run = ended["id"]
    row.states.append(" > ".join(server.states(run)))
    assert ended["state_name"] == "Released", f"{ended['state']}\n{hosts[0].log()}"
    assert len(books.versions(mine.origin, "split")) == 1
    assert not books.wrong_in_lock(mine, "split")
    row.rows = books.rows(mine, "split", mine.store)
    assert row.rows[0] > 0 and row.rows[1:] == (0, 0)
    check(row, server, mine, *hosts)
    assert not server.untruths(run)
    assert {"rebuild-stages", "rebuild-release"} <= server.artifacts(run).keys()
    assert set(server.tasks(run).values()) <= {"Completed", "Restored"}


def check(
    row: Row, server: Server, mine: Template, *hosts: Host, answers: Sequence[str] = (), branch: str = "split"
) -> None:
    """No process is left, no object damaged, and what GPU workers have handed back is what `dvc repro` writes.

    Args:
        row: of the table.
        server: of the runs.
        mine: origin and store of the drill.
        hosts: all of the drill.
        answers: addresses that GPU workers were to run.
        branch: that they ran of.
    """
    row.left = [line for host in hosts for line in host.left()]
    assert not row.left
    assert not books.damaged(mine.store)
    for host in hosts:
        assert not books.damaged(host.home / "cache")
    if answers:
        handed = [yaml.safe_load(path.read_text()) for path in (mine.store / "earthloom/entries").glob("*.yaml")]
        assert handed == [mine.expected(branch)[address] for address in answers]

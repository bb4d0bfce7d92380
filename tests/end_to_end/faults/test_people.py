"""What people and schedules do at once: two rebuilds, a rebuild while a model is trained, a cancel."""

from pathlib import Path

import pytest

from flows.walking.limits import COMMAND_GRACE, PREFECT_GRACE
from tests.end_to_end.faults import books
from tests.end_to_end.faults.drill import RETRAIN, Hosts, held_at_split, rebuild, trained, whole
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template, git

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]


def test_of_two_rebuilds_at_once_one_releases_and_the_other_finds_nothing_new(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = "two rebuilds at once", "the deployment is run twice, on a pool with two hosts"
    one, two = host("one"), host("two")
    one.work("cpu")
    two.work("cpu")
    runs = [rebuild(server, mine), rebuild(server, mine)]
    ended = [server.wait(run) for run in runs]
    assert sorted(run["state_name"] for run in ended) == ["NothingNew", "Released"], [run["state"] for run in ended]
    released, other = sorted(ended, key=lambda run: run["state_name"], reverse=True)
    row.states.append(" > ".join(server.states(other["id"])))
    row.happened = "the second waits for its turn, restores or finds all of it, and makes no version"
    whole(row, server, mine, released, one, two)
    assert sorted([*one.ran(), *two.ran()]).count("split") == 1


def test_a_cancelled_run_ends_a_command_that_does_not_hear_sigterm(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = "cancel, with a command that ignores SIGTERM", "the run is cancelled in the UI"
    one = host("one")
    one.order("split", "deaf")
    one.work("cpu")
    run = rebuild(server, mine)
    command = one.waiting("split")
    server.cancel(run)
    command.wait(COMMAND_GRACE + PREFECT_GRACE + 60)
    ended = server.wait(run)
    row.states.append(" > ".join(server.states(run)))
    row.happened = f"the command is killed {COMMAND_GRACE:.0f} s after it was asked; the same run again releases"
    assert ended["state_name"] == "Cancelled"
    assert not one.left() and not server.untruths(run)
    assert not books.versions(mine.origin, "split")
    one.release("split")
    whole(row, server, mine, server.wait(rebuild(server, mine)), one)


def test_a_rebuild_releases_while_a_model_is_trained_on_the_version_before(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = "a rebuild during a retrain", "released while `train@1` of another run works on a GPU host"
    one, two = host("one"), host("two")
    two.order("train@1")
    one.work("cpu")
    two.work("gpu")
    training = server.start(RETRAIN, repository=str(mine.origin), revision="train", targets=["train@1"])
    two.waiting("train@1")
    released = server.wait(rebuild(server, mine))
    assert server.run(training)["state_name"] == "Running"
    two.release("train@1")
    trained(row, server, mine, training, one, two, branch="train")
    row.happened = "both end; each has worked at its own commit"
    whole(row, server, mine, released, one, two)


def test_a_commit_of_somebody_else_meanwhile_stays_and_the_version_comes_on_top_of_it(
    row: Row, server: Server, mine: Template, host: Hosts, tmp_path: Path
) -> None:
    row.fault, row.done = "somebody pushes to the branch meanwhile", "a commit on the branch while a command runs"
    one = host("one")
    run = held_at_split(server, mine, one)
    git(tmp_path, "clone", "-q", "--branch", "split", str(mine.origin), "somebody")
    (tmp_path / "somebody/NOTES").write_text("Theirs.\n")
    git(tmp_path / "somebody", "add", "NOTES")
    git(tmp_path / "somebody", "commit", "-q", "-m", "Notes")
    git(tmp_path / "somebody", "push", "-q", "origin", "split")
    one.release("split")
    ended = server.wait(run)
    row.happened = "the run begins again from the new end of the branch, where all that it made is restored"
    whole(row, server, mine, ended, one)
    assert git(mine.origin, "show", "split:NOTES") == "Theirs."
    assert one.ran().count("split") == 1

"""A GPU worker that trains by several processes, and one that is asked to go while it trains."""

import pytest

from tests.end_to_end.faults.drill import RETRAIN, Hosts, trained
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]


def test_two_processes_on_a_worker_leave_the_weights_and_the_lock_entry_of_one(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = (
        "(none) two processes train",
        "EARTHLOOM_PROCESSES=2 for the worker: gloo",
    )
    one, two = host("one"), host("two", EARTHLOOM_PROCESSES="2")
    one.work("cpu")
    two.work("gpu")
    run = server.start(RETRAIN, repository=str(mine.origin), revision="pair", targets=["train@1"])
    trained(row, server, mine, run, one, two, branch="pair")
    assert "2 processes" in two.log()
    assert "train@1" in two.ran() and "train@1" not in one.ran()
    row.happened = "the entry, with the hash of the weights, is the one that `dvc repro` on one process writes"


def test_a_gpu_worker_that_is_asked_to_go_leaves_its_run_to_another(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = (
        "GPU worker asked to go (SIGTERM)",
        "as by `make down`; another host is there",
    )
    one, two, three = host("one"), host("two"), host("three")
    two.order("train@1")
    one.work("cpu")
    two.work("gpu")
    run = server.start(RETRAIN, repository=str(mine.origin), revision="train", targets=["train@1"])
    two.waiting("train@1")
    two.rest()
    three.work("gpu")
    trained(row, server, mine, run, one, two, three, branch="train")
    stages = [ran for ran in server.runs(row.began) if ran["name"].startswith("train@1")]
    row.states.append(" > ".join(server.states(stages[0]["id"])))
    assert len(stages) == 1 and "AwaitingRetry" in server.states(stages[0]["id"])
    row.happened = "the stage run waits (AwaitingRetry) and goes on at the other host: no failure, no second run"
    assert not server.untruths(stages[0]["id"])

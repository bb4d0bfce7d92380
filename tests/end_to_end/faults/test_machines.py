"""Workers, engines and machines that die, and a server or a database that is away meanwhile."""

import signal
import time

import pytest

from flows.services import postgres
from flows.services import server as server_service
from tests.end_to_end.faults.drill import RETRAIN, Hosts, held_at_split, rebuild, trained, whole
from tests.end_to_end.faults.hosts import until
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]


def test_a_run_whose_worker_is_killed_goes_on_to_its_end(row: Row, server: Server, mine: Template, host: Hosts) -> None:
    row.fault, row.done = "worker killed with -9", "SIGKILL to the worker while a command runs; a new worker"
    one = host("one")
    one.order("split")
    worker = one.work("cpu")
    run = rebuild(server, mine)
    one.waiting("split")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    one.reap()
    one.work("cpu")
    one.release("split")
    ended = server.wait(run)
    row.happened = "the run, an orphan, ends by itself"
    whole(row, server, mine, ended, one)


def test_after_a_machine_is_gone_the_next_run_goes_on_by_itself(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = "machine gone: worker, engine and commands", "SIGKILL to all at once; later it is back"
    one = host("one")
    lost = held_at_split(server, mine, one)
    following = rebuild(server, mine)  # waits for its turn
    server.wait(following, "AwaitingConcurrencySlot")
    one.kill()
    one.release("split")
    one.work("cpu")
    ended = server.wait(lost)
    row.states.append(" > ".join(server.states(lost)))
    assert ended["state_name"] == "Crashed"
    ended = server.wait(following)
    row.happened = "the lost run is shown as Crashed, and the one in the queue goes on from what it had made"
    whole(row, server, mine, ended, one)
    assert one.ran().count("check") == 1, "check was run again, though it was recorded"
    assert not server.untruths(lost)


def test_a_stage_whose_gpu_host_is_gone_is_asked_of_another(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = "GPU host gone", "SIGKILL to all of it while it trains; another host is there"
    one, two, three = host("one"), host("two"), host("three")
    two.order("train@1")
    one.work("cpu")
    two.work("gpu")
    run = server.start(RETRAIN, repository=str(mine.origin), revision="train", targets=["train@1"])
    two.waiting("train@1")
    two.kill()
    three.work("gpu")
    trained(row, server, mine, run, one, two, three, branch="train")
    row.happened = "the stage run is shown as Crashed and asked for again; the other host trains, the lock is the same"
    assert three.ran() == ["code", "train@1"] and "train@1" not in one.ran()


def test_a_server_that_is_restarted_is_not_noticed(row: Row, server: Server, mine: Template, host: Hosts) -> None:
    row.fault, row.done = "server restarted", "the Prefect server ends and is started again while a run works"
    one = host("one")
    run = held_at_split(server, mine, one)
    server_service.stop(server.stack.services)
    one.release("split")
    time.sleep(10)  # the run meets a server that is not there
    server.stack.call("up")
    ended = server.wait(run)
    row.happened = "the run asks until it is answered"
    whole(row, server, mine, ended, one)


def test_a_database_that_is_away_for_a_minute_costs_no_run(
    row: Row, server: Server, mine: Template, host: Hosts
) -> None:
    row.fault, row.done = (
        "database stopped for a minute",
        "PostgreSQL ends; the run's next command starts and ends meanwhile",
    )
    one = host("one")
    run = held_at_split(server, mine, one)
    postgres.stop(server.stack.services)
    one.release("split")
    time.sleep(60)
    server.stack.call("up")
    until(lambda: server.ask("GET", "/ready") is not None, "the server")
    ended = server.wait(run)
    row.happened = "the server answers 503 meanwhile, the run asks again"
    whole(row, server, mine, ended, one)

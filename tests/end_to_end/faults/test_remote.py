"""A remote that refuses, is slow, full, cut off or away during the push of a version: pushed again, committed after."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.faults import books
from tests.end_to_end.faults.bucket import Bucket
from tests.end_to_end.faults.drill import Hosts, held_at_split, whole
from tests.end_to_end.faults.hosts import until
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.store_proxy import Proxy
from tests.end_to_end.faults.template import Template, git

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def stocked(server: Server, template: Template) -> Bucket:
    return Bucket(server.stack, template)


@pytest.fixture
def proxy(stocked: Bucket) -> Iterator[Proxy]:
    stocked.reset()
    with Proxy(stocked.port).serving() as made:
        yield made


@pytest.mark.parametrize("fault", ["refusing", "full", "cut", "down", "slow"])
def test_a_push_that_the_remote_spoils_is_done_again_and_nothing_is_committed_before_it_is_done(
    fault: str, row: Row, server: Server, mine: Template, host: Hosts, stocked: Bucket, proxy: Proxy, tmp_path: Path
) -> None:
    row.fault = f"remote {fault} during the push"
    before = git(mine.origin, "rev-parse", "split")
    one = host("one", **stocked.variables | {"EARTHLOOM_REMOTE_ENDPOINT": proxy.url})
    run = held_at_split(server, mine, one)
    proxy.fault = fault
    one.release("split")
    if fault != "slow":
        until(lambda: "AwaitingRetry" in server.tasks(run).values(), f"another try\n{one.log()}")
        assert server.run(run)["state_type"] != "FAILED"
        assert git(mine.origin, "rev-parse", "split") == before, "committed, though not pushed"
        row.happened = "the task `release` waits and pushes again; commit and tag come after it"
        proxy.fault = ""
    else:
        row.happened = "the push takes longer, and that is all"
    ended = server.wait(run)
    row.done = {
        "refusing": "503 SlowDown to every request", "full": "507 to every write", "slow": "4 s before each answer",
        "cut": "connections break off half way through a body", "down": "connections are closed unanswered",
    }[fault] + f", {proxy.spoiled} requests in all"  # fmt: skip
    assert proxy.spoiled
    stocked.bring(mine.store)
    whole(row, server, mine, ended, one)
    assert not books.damaged(mine.store)

"""Faults of a person's own checkout, without a server."""

import os
import pty
import shutil
import sys
from pathlib import Path

import pytest

from tests.end_to_end.faults import template as templates
from tests.end_to_end.faults.by_hand import Checkout
from tests.end_to_end.faults.hosts import until
from tests.end_to_end.faults.record import Row
from tests.end_to_end.faults.template import entries
from tests.fixtures import checkout

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the project, whose code obeys orders, after `dvc repro` of `code` and `check`."""
    root = checkout.make(tmp_path_factory.mktemp("by-hand") / "checkout")
    templates.obey(root)
    templates.git(root, "checkout", "-q", "-b", "main")
    templates.git(root, "add", "-A")
    templates.git(root, "commit", "-q", "-m", "The project")
    checkout.run(root, "dvc", "repro", "-q", "scenes")
    return root


@pytest.fixture
def mine(reproduced: Path, tmp_path: Path) -> Checkout:
    """A copy in which `scenes` is to run again."""
    root = Path(shutil.copytree(reproduced, tmp_path / "checkout", symlinks=True))
    checkout.edit(root / "params.yaml", "max_items: 1000", "max_items: 999")
    return Checkout(root, tmp_path / "host")


@pytest.fixture(scope="module")
def expected(reproduced: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What `dvc repro` writes into dvc.lock there, alone."""
    root = Path(shutil.copytree(reproduced, tmp_path_factory.mktemp("expected") / "checkout", symlinks=True))
    checkout.edit(root / "params.yaml", "max_items: 1000", "max_items: 999")
    checkout.run(root, "dvc", "repro", "-q", "scenes")
    return entries((root / "dvc.lock").read_text())


def wait_for(made: Checkout, address: str) -> None:
    until(lambda: (made.orders / f"{address}.pid").is_file(), f"{address} in {made.root}")


def test_a_flow_whose_terminal_is_closed_leaves_no_process_and_goes_on_when_it_is_called_again(
    row: Row, mine: Checkout, expected: dict[str, object]
) -> None:
    row.fault, row.done = "the flow's terminal closed", "`earthloom flow` in a pseudo terminal that is closed under it"
    (mine.orders / "scenes@landsat").write_text("wait")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(mine.root)
        words = [sys.executable, "-m", "earthloom", "flow", "build", "--targets", "scenes"]
        os.execve(sys.executable, words, mine.environment)
    wait_for(mine, "scenes@landsat")
    os.close(terminal)
    status = os.waitpid(pid, 0)[1]
    assert status != 0
    row.left = mine.left()
    assert not row.left
    (mine.orders / "scenes@landsat").unlink()
    mine.earthloom("flow", "build", "--targets", "scenes")
    assert entries((mine.root / "dvc.lock").read_text()) == expected
    ran = (mine.orders / "ran").read_text().split()
    assert ran.count("check") == 1, "it was recorded, and has run again"
    row.happened = "SIGHUP ends the flow and its commands; the same command goes on, and writes the same lock"


def test_repro_by_hand_and_a_flow_never_work_in_one_checkout_at_once(
    row: Row, mine: Checkout, expected: dict[str, object]
) -> None:
    row.fault, row.done = "`dvc repro` by hand beside a flow", "each of the two is begun while the other works there"
    (mine.orders / "scenes@landsat").write_text("wait")
    repro = mine.start("dvc", "repro", "scenes")
    wait_for(mine, "scenes@landsat")
    refused = mine.earthloom("flow", "build", "--targets", "scenes", fails=True)
    assert f"is in use by process {repro.pid}" in refused and "Traceback" not in refused
    (mine.orders / "scenes@landsat").unlink()
    printed, _ = repro.communicate(timeout=300)
    assert repro.returncode == 0, printed
    assert entries((mine.root / "dvc.lock").read_text()) == expected

    checkout.edit(mine.root / "params.yaml", "max_items: 999", "max_items: 998")
    (mine.orders / "scenes@landsat.pid").unlink()
    (mine.orders / "scenes@landsat").write_text("wait")
    flow = mine.start("earthloom", "flow", "build", "--targets", "scenes")
    wait_for(mine, "scenes@landsat")
    mine.call("dvc", "repro", "scenes", fails=True)
    (mine.orders / "scenes@landsat").unlink()
    printed, _ = flow.communicate(timeout=300)
    assert flow.returncode == 0, printed
    assert "up to date" in mine.call("dvc", "status", "scenes")
    row.left = mine.left()
    assert not row.left
    row.happened = "the later one is refused, and named the process that works there; one lock, clean"

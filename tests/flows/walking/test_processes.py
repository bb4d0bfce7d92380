"""Commands of stages as real processes: none of them is left, however the one that started them ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from flows.recording.graph import Instance
from flows.walking import limits
from flows.walking.processes import CommandError, Commands, OverdueError
from tasks.core.errors import FlowError
from tests.flows import toy

LOGGER = logging.getLogger("test")
FAMILY = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
pathlib.Path("pids.partial").write_text(f"{os.getpid()} {child.pid}")
os.rename("pids.partial", "pids")
time.sleep(600)
"""
"""Ignores the request to end, and has a child that has left its group."""
PARENT = """
import logging, pathlib, sys
from flows.recording.graph import Instance
from flows.walking.processes import Commands
instance = Instance("check", sys.argv[1], (), (), (), (), "cpu", ())
Commands(pathlib.Path.cwd(), grace=0.5).run(instance, logging.getLogger())
"""


def instance(command: str, stage: str = "check") -> Instance:
    return Instance(stage, command, (), (), (), (), "cpu", ())


def gone(pids: list[int]) -> bool:
    """Whether these processes have ended, or do so within 20 s."""
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs([p for p in left if p.status() != psutil.STATUS_ZOMBIE], timeout=toy.PATIENCE)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def family(tmp_path: Path) -> str:
    (tmp_path / "family.py").write_text(FAMILY)
    return f"{sys.executable} family.py"


def test_our_grace_is_below_that_of_prefect_which_is_below_that_of_kubernetes() -> None:
    assert limits.COMMAND_GRACE < limits.PREFECT_GRACE < limits.KUBERNETES_GRACE


def test_a_stop_ends_a_command_that_ignores_it_and_what_has_left_its_group(tmp_path: Path, family: str) -> None:
    commands = Commands(tmp_path, grace=0.5)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            commands.run(instance(family), LOGGER)
        except FlowError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    pids = [int(word) for word in toy.wait_for(tmp_path / "pids").split()]
    commands.stop()
    thread.join(timeout=toy.PATIENCE)
    assert gone(pids) and isinstance(failed[0], CommandError)
    with pytest.raises(FlowError, match="not started, the run was stopped"):
        commands.run(instance("true"), LOGGER)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_parent_that_is_killed_leaves_no_process(number: signal.Signals, tmp_path: Path, family: str) -> None:
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, family], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)}
    )
    pids = [int(word) for word in toy.wait_for(tmp_path / "pids").split()]
    guards = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
    parent.send_signal(number)
    assert parent.wait(timeout=toy.PATIENCE) == -number
    assert gone(pids) and gone(guards)


def test_a_command_that_asks_to_be_run_again_is_as_often_as_it_asks(tmp_path: Path) -> None:
    script = "n=$(cat n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > n; [ $n -gt 5 ] || exit 75"
    Commands(tmp_path).run(instance(script), LOGGER)
    assert (tmp_path / "n").read_text().strip() == "6"


def test_a_command_that_takes_too_long_is_ended_by_name(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHLOOM_TIMEOUT_SCENES", "1")
    with pytest.raises(OverdueError, match=r"scenes: took longer than 1 s .* EARTHLOOM_TIMEOUT_SCENES allows it more"):
        Commands(tmp_path, grace=0.5).run(instance("sleep 600", "scenes"), LOGGER)
    monkeypatch.setenv("EARTHLOOM_TIMEOUT_SCENES", "soon")
    with pytest.raises(FlowError, match="EARTHLOOM_TIMEOUT_SCENES is 'soon': it must be a number of seconds above 0"):
        Commands(tmp_path).run(instance("true", "scenes"), LOGGER)

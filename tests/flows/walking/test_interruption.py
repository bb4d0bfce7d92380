"""A walk that is killed, stopped or doubled: nothing half-written, nothing left running, and the same end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.recording.recorder import look_into, open_workspace
from tasks.core.errors import FlowError
from tests.flows import toy
from tests.flows.toy import Walker

pytest_plugins = ["tests.flows.fixtures"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_after_kill_9_the_same_command_goes_on_to_the_same_lock(
    project: Path, reproduced: Path, server: str, walker: Walker
) -> None:
    toy.order(project, "chips@red-b", "sleep")
    process = toy.start(project, server)
    orphan = int(toy.wait_for(project / "sleeping"))
    process.kill()
    process.communicate()
    half = toy.lock(project)
    assert b"scenes@red" in half and b"chips@red-b" not in half
    psutil.wait_procs([psutil.Process(orphan)] if psutil.pid_exists(orphan) else [], timeout=toy.PATIENCE)
    assert not alive(orphan)

    before = set(toy.ran(project))
    toy.release(project, "chips@red-b")
    walker(project)
    again = set(toy.ran(project))
    assert {"chips@red-b", "split"} <= again
    assert not {a for a in before & again if f"{a}:".encode() in half}
    assert toy.lock(project) == toy.lock(reproduced)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_walk_stops_its_commands(number: signal.Signals, project: Path, server: str) -> None:
    toy.order(project, "chips@red-b", "sleep")
    process = toy.start(project, server)
    command = int(toy.wait_for(project / "sleeping"))
    process.send_signal(number)
    output, _ = process.communicate(timeout=toy.PATIENCE)
    assert process.returncode not in (0, None)
    assert not alive(command), output
    assert list((project / ".earthloom/running").iterdir()) == []
    assert toy.shell(project, "dvc status scenes").strip().endswith("up to date.")


def test_a_second_walk_in_the_workspace_is_refused_and_told_by_whom(project: Path, server: str) -> None:
    with open_workspace(project):
        process = toy.start(project, server)
        output, _ = process.communicate(timeout=toy.PATIENCE)
    assert process.returncode == 1
    assert f"is in use by process {os.getpid()}" in output
    assert "Traceback" not in output
    assert not (project / "dvc.lock").exists()


def test_a_workspace_in_which_repro_works_is_refused_and_a_look_into_it_is_not(project: Path) -> None:
    toy.order(project, "check", "sleep")
    repro = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "check"], cwd=project, env=toy.ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    try:
        sleeping = psutil.Process(int(toy.wait_for(project / "sleeping")))
        with pytest.raises(FlowError) as refusal, open_workspace(project):
            pass
        assert f"is in use by process {repro.pid} (" in str(refusal.value) and "repro check" in str(refusal.value)
        with look_into(project) as recorder:
            assert recorder.changed("check")
        sleeping.kill()
    finally:
        repro.wait(timeout=toy.PATIENCE)
    with open_workspace(project) as recorder:  # what dead processes have left in DVC's table holds nobody up
        assert recorder.changed("check")


def test_a_workspace_without_a_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=str(tmp_path)), open_workspace(tmp_path):
        pass

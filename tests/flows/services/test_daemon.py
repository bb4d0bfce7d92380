"""A service that outlives the command that started it is found again, and ended with all that it started."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.services.daemon import Daemon, marked
from flows.services.ports import check_free
from tasks.core.errors import ServiceError

PARENT = """\
import subprocess, sys, time
code = "import signal, time; {deaf}; print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print("ready", flush=True)
time.sleep(600)
"""
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path, "toy")


def start(daemon: Daemon, code: str) -> "subprocess.Popen[bytes]":
    process = daemon.start([sys.executable, "-c", code], dict(os.environ))
    daemon.wait(process, lambda: "ready" in daemon.log.read_text(), 60)
    return process


def test_what_a_killed_service_left_behind_is_found_and_ended(daemon: Daemon) -> None:
    process = start(daemon, PARENT.format(deaf="pass"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = daemon.tops()
    assert left.pid != process.pid
    assert daemon.stop(30)
    assert marked(daemon.services) == []


def test_what_does_not_listen_is_killed(daemon: Daemon) -> None:
    process = start(daemon, PARENT.format(deaf=DEAF))
    assert len(daemon.processes()) == 2
    daemon.stop(1)
    process.wait()
    assert daemon.processes() == []


def test_another_services_processes_are_left_alone(daemon: Daemon, tmp_path: Path) -> None:
    process = start(daemon, PARENT.format(deaf="pass"))
    assert not Daemon(tmp_path, "other").stop(1) and not Daemon(tmp_path / "elsewhere", "toy").stop(1)
    assert len(daemon.processes()) == 2
    daemon.stop(30, below=True)
    process.wait()


def test_a_service_that_ends_at_its_start_is_an_error_with_its_last_words(daemon: Daemon) -> None:
    process = daemon.start([sys.executable, "-c", "raise SystemExit('no room left')"], dict(os.environ))
    with pytest.raises(ServiceError, match="no room left"):
        daemon.wait(process, lambda: False, 60)


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"port {port} is held by process {os.getpid()} .*--port"):
            check_free([("--port", "127.0.0.1", port)])
    check_free([("--port", "127.0.0.1", port)])

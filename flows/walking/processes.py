"""Commands of stages as child processes: their log relayed line by line, none of them left behind."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil

from flows.recording.graph import Instance
from flows.walking import guard, limits
from flows.walking.relay import Relay
from tasks.core import log
from tasks.core.errors import FlowError
from tasks.core.stage import read_json, write_json

RESCHEDULED = 75
"""Exit code of a command that was asked to stop, kept what it had, and wants to be run again."""

_numbers = count()


class CommandError(FlowError):
    """A stage's command ended with another code than 0."""

    def __init__(self, address: str, returncode: int, last_words: str) -> None:
        super().__init__(f"{address}: exit code {returncode}{': ' if last_words else ''}{last_words}")
        self.returncode = returncode


class OverdueError(FlowError):
    """A stage's command took longer than it may."""


@dataclass(frozen=True)
class Devices:
    """What a command may use of this host."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """That name the devices to it."""
    descriptors: tuple[int, ...] = ()
    """Of the leases: held for as long as any process of the command lives."""


class Commands:
    """The running commands of one walk, with its credentials. `stop` ends them, and none is started afterwards."""

    def __init__(
        self, root: Path, credentials: Mapping[str, str] | None = None, grace: float = limits.COMMAND_GRACE
    ) -> None:
        self._root = root
        self._grace = grace
        self._credentials = dict(credentials or {})
        self._folder = root / ".earthloom" / "running"
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._guard = threading.Lock()
        self._token = f"{guard.token(grace)}.{next(_numbers)}."
        self.stopped = False

    def run(
        self,
        instance: Instance,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        devices: "Devices | None" = None,
    ) -> None:
        """Run the instance's command line by line, as DVC does, and send what it prints to `logger`.

        Args:
            instance: whose command it is.
            logger: gets its lines.
            devices: those it may use.

        Raises:
            CommandError: a line failed; carries its exit code and its last words.
            OverdueError: a line took longer than its stage may.
        """
        again, most = 0, _timeout(instance.stage)
        lines = deque(instance.cmd.splitlines())
        while lines:
            line = lines[0]
            logger.info("> %s", line)
            process = self._start(instance.address, line, devices or Devices())
            relay = Relay(logger)
            try:
                with self._at_most(most, process.pid) as overdue:
                    assert process.stdout is not None
                    with process.stdout as printed:
                        for text in printed:
                            relay(text.rstrip("\n"))
                    returncode = process.wait()
            finally:
                self._forget(instance.address)
            if overdue.is_set():
                raise OverdueError(
                    f"{instance.address}: took longer than {most:g} s and was ended; "
                    f"{_variable(instance.stage)} allows it more"
                )
            if returncode == RESCHEDULED and not self.stopped and again < limits.RESCHEDULES:
                again += 1
                logger.warning("asked to be run again, and goes on where it was: %s", relay.last_words())
            elif returncode:
                raise CommandError(instance.address, returncode, relay.last_words())
            else:
                lines.popleft()

    def stop(self) -> None:
        """Ask every command to end, and kill those that have not after the grace time."""
        with self._guard:
            self.stopped = True
            groups = [process.pid for process in self._running.values()]
        _end(groups, self._grace)
        guard.end(self._token, 0.0)  # what has left its group

    def end_leftovers(self) -> list[str]:
        """End commands that a killed walk left running in this workspace; their addresses.

        To be called with the workspace's lock held: only then is nobody else responsible for them.
        """
        left = {}
        for path in sorted(self._folder.glob("*.json")):
            note = read_json(path)
            if _is_alive(note["pid"], note["started"]):
                left[path.stem] = note["pid"]
        _end(list(left.values()), self._grace)
        for path in (*self._folder.glob("*.json"), *self._root.glob(".dvc.lock.*.partial")):
            path.unlink()
        return list(left)

    def _start(self, address: str, line: str, devices: "Devices") -> subprocess.Popen[str]:
        environment = os.environ | {
            guard.VARIABLE: self._token,
            # `python` in dvc.yaml is the interpreter that runs the walk.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            log.FORMAT: "json",  # so that the relay knows a warning from a line
            "DVC_ROOT": str(self._root),
            "DVC_STAGE": address,
            **self._credentials,
            **devices.variables,
        }
        with self._guard:
            if self.stopped:
                raise FlowError(f"{address}: not started, the run was stopped")
            process = subprocess.Popen(
                ["/bin/sh", "-c", line],
                cwd=self._root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                pass_fds=devices.descriptors,
                start_new_session=True,  # a group of its own: stopped as a whole, and by us alone
            )
            self._running[address] = process
        write_json(self._folder / f"{address}.json", {"pid": process.pid, "started": _started(process.pid)})
        return process

    @contextmanager
    def _at_most(self, seconds: float, group: int) -> Iterator[threading.Event]:
        """End a group of processes that is there longer; the event says whether that was so."""
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            _end([group], self._grace)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield overdue
        finally:
            timer.cancel()

    def _forget(self, address: str) -> None:
        with self._guard:
            del self._running[address]
        (self._folder / f"{address}.json").unlink(missing_ok=True)


def _timeout(stage: str) -> float:
    """Seconds that a command of a stage may take.

    Raises:
        FlowError: the environment names a time that is none.
    """
    text = os.environ.get(_variable(stage))
    if text is None:
        return limits.STAGE_TIMEOUT.get(stage, limits.TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise FlowError(f"{_variable(stage)} is {text!r}: it must be a number of seconds above 0")
    return seconds


def _variable(stage: str) -> str:
    return f"EARTHLOOM_TIMEOUT_{stage.upper()}"


def _started(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _is_alive(group: int, started: float) -> bool:
    """Whether a group has members, and is the one noted: a pid is used again, a start time is not."""
    leader = _started(group)
    if leader and abs(leader - started) > 1:
        return False
    return bool(_members(group))


def _members(group: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return found


def _end(groups: Sequence[int], grace: float) -> None:
    deadline = time.monotonic() + grace
    for group in groups:
        _signal(group, signal.SIGTERM)
    alive = list(groups)
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [group for group in alive if _members(group)]
    for group in alive:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)

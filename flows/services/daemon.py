"""One service: a process that outlives the command that starts it, found again by what its environment says."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.core.errors import ServiceError

FOLDER_MARK = "EARTHLOOM_SERVICES"
"""Variable with the folder of the services that a process belongs to."""
NAME_MARK = "EARTHLOOM_SERVICE"
"""Variable with the service that a process belongs to."""
LOG_SIZE = 20_000_000
"""Bytes after which a log is put aside when its service starts; the one put aside before is dropped."""


@dataclass(frozen=True)
class Daemon:
    """A service by its name, in a folder of services."""

    services: Path
    name: str

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.services / "log" / f"{self.name}.log"

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        user: str | None = None,
        folder: Path | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start it in a session of its own, so that closing a terminal does not end it.

        Args:
            command: program and arguments; they can be read by every user of the machine and hold no secret.
            environment: all of it.
            user: whom to step down to.
            folder: where it works; its own folder by default.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.log.exists() and self.log.stat().st_size > LOG_SIZE:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            return subprocess.Popen(
                command,
                cwd=folder or self.services,
                env={**environment, FOLDER_MARK: str(self.services), NAME_MARK: self.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=user and _group(user),
                extra_groups=[] if user else None,
            )

    def processes(self) -> list[psutil.Process]:
        """All processes of it, with those that they started."""
        return marked(self.services, self.name)

    def tops(self) -> list[psutil.Process]:
        """Those of its processes that none of the others started: the service itself, or what a killed one left."""
        found = {process.pid: process for process in self.processes()}
        return [process for process in found.values() if _parent(process) not in found]

    def wait(self, process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is ready, or has ended.

        Raises:
            ServiceError: it has ended, or is not ready in time; with what it printed last.
        """
        deadline = time.monotonic() + seconds
        with _Death(process.pid) as died:
            while not is_ready():
                # Nobody says when a server answers: it is asked ten times a second. That it died is said at once.
                if died(0.1) or process.poll() is not None:
                    process.poll()
                    raise ServiceError(f"{self.name} has ended at its start: {self.last_words()}")
                if time.monotonic() > deadline:
                    raise ServiceError(f"{self.name} is not ready after {seconds:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        """The last lines of its log, and where the others are."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        except OSError:
            lines = []
        return "\n".join([f"see {self.log}", *lines])

    def stop(self, grace: float, number: signal.Signals = signal.SIGTERM, below: bool = False) -> bool:
        """End it with all it started; whether there was anything to end.

        Args:
            grace: seconds from the signal to the kill.
            number: the signal that asks it to end.
            below: ask those that it started itself, too: a worker waits for its runs and does not pass the signal on.
        """
        asked = self.tops()
        if below:
            asked += [child for top in asked for child in _children(top)]
        end(asked, self.processes, grace, number)
        return bool(asked)


def marked(services: Path, name: str | None = None) -> list[psutil.Process]:
    """Processes that belong to these services, or to one of them. Those of other users are known to root alone."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get(FOLDER_MARK) != str(services) or process.status() == psutil.STATUS_ZOMBIE:
                continue
        except (psutil.Error, OSError):
            continue
        if name in (None, environment.get(NAME_MARK)) and process.pid != os.getpid():
            found.append(process)
    return found


def end(
    asked: Sequence[psutil.Process],
    left: Callable[[], Sequence[psutil.Process]],
    grace: float,
    number: signal.Signals = signal.SIGTERM,
) -> None:
    """Signal `asked`, wait until nothing is `left`, and kill what is after `grace` seconds."""
    for process in asked:
        _signal(process, number)
    deadline = time.monotonic() + grace
    while remaining := left():
        _, alive = psutil.wait_procs(remaining, timeout=min(1.0, max(0.05, deadline - time.monotonic())))
        if time.monotonic() >= deadline:
            for process in alive:
                _signal(process, signal.SIGKILL)


class _Death:
    """`with _Death(pid) as died: died(seconds)`: wait for a process to end; whether it has."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    def __enter__(self) -> Callable[[float], bool]:
        return self._wait

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _wait(self, seconds: float) -> bool:
        if self._descriptor is None:
            time.sleep(seconds)
            return False
        return bool(select.select([self._descriptor], [], [], seconds)[0])


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)  # psutil looks at the start time first: never at another of the same pid

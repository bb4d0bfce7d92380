"""Hosts: each with a home, a cache and workers of its own, all processes of one machine. That much is simulated."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from flows.walking.limits import CLIENT

ORDERED = 240.0
"""Seconds to wait for an event at most: the machine may be busy, and a drill goes on as soon as it comes."""


def until(found: Callable[[], Any], what: str, seconds: float = ORDERED) -> Any:
    """What `found` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what}: did not come in {seconds:.0f} s"
        time.sleep(0.2)
    return value


def in_home(home: Path) -> list[psutil.Process]:
    """Processes whose EARTHLOOM_HOME is this one: workers, flows, commands, and whatever they left."""
    wanted, found = f"EARTHLOOM_HOME={home}".encode(), []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


class Host:
    """A machine by its home folder; `environment` is what its workers have."""

    def __init__(self, folder: Path, name: str, environment: dict[str, str]) -> None:
        self.name, self.folder = name, folder / name
        self.home, self.orders = self.folder / "earthloom", self.folder / "orders"
        self.orders.mkdir(parents=True)
        drop = ("PREFECT_", "EARTHLOOM_", "AWS_", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
        self.environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "EARTHLOOM_HOME": str(self.home),
            "EARTHLOOM_DRILL": str(self.orders),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            **CLIENT,
            **environment,
        }
        self._workers: list[subprocess.Popen[bytes]] = []

    def work(self, kind: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a worker of the pool `earthloom-KIND`."""
        words = ["worker", "start", "--pool", f"earthloom-{kind}", "--name", f"{self.folder.parent.name}-{self.name}"]
        words += ["--type", "process", "--install-policy", "never", *(["--limit", "1"] if kind == "gpu" else [])]
        with (self.folder / f"{kind}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", *words],
                cwd=self.folder,
                env=self.environment | more,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._workers.append(worker)
        return worker

    def order(self, address: str, word: str = "wait") -> None:
        """Have the command of an instance wait here until `release`; `deaf`, and without hearing SIGTERM."""
        (self.orders / address).write_text(word)

    def waiting(self, address: str) -> psutil.Process:
        """The command of an instance, once it has come to where it waits."""
        path = self.orders / f"{address}.pid"
        pid = int(until(lambda: path.is_file() and path.read_text(), f"{address} on {self.name}: {self.log()}"))
        path.unlink()
        return psutil.Process(pid)

    def release(self, address: str) -> None:
        """Let it go on, and those after it."""
        (self.orders / address).unlink()

    def ran(self) -> list[str]:
        """Addresses whose command has been started here, in order."""
        path = self.orders / "ran"
        return path.read_text().split() if path.exists() else []

    def kill(self) -> None:
        """The machine is gone: every process of it at once."""
        while found := in_home(self.home):
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(found, timeout=5)
        self.reap()

    def rest(self) -> None:
        """End the workers and what they run, as `make down` does: a worker does not pass the signal on."""
        for worker in self._workers:
            with suppress(psutil.NoSuchProcess):
                for process in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children()]:
                    process.terminate()
        _, alive = psutil.wait_procs([psutil.Process(worker.pid) for worker in self._workers], timeout=90)
        for process in alive:
            process.kill()
        self.reap()

    def reap(self) -> None:
        for worker in self._workers:
            worker.poll()
        self._workers = [worker for worker in self._workers if worker.returncode is None]

    def left(self, seconds: float = 40.0) -> list[str]:
        """What still runs here after so long, workers apart."""
        deadline = time.monotonic() + seconds
        while True:
            workers = {worker.pid for worker in self._workers}
            found = [process for process in in_home(self.home) if process.pid not in workers]
            if not found or time.monotonic() > deadline:
                return [_line(process) for process in found]
            time.sleep(0.2)

    def log(self) -> str:
        """The end of what its workers have printed."""
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log"))


def _line(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return str(process.pid)

"""A stack of real services for tests, on ports and in a folder of its own."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from flows.services.settings import STORE_PORTS

ROOT = Path(__file__).parents[3]


def skip_without_programs() -> None:
    """PostgreSQL and the object store are installed by `.ci/run`."""
    if not (Path(sys.executable).parent / "weed").is_file():
        pytest.skip("SeaweedFS is not installed: make .venv/.services")
    if not (shutil.which("postgres") or list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))):
        pytest.skip("PostgreSQL is not installed")


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(21000 + os.getpid() % 7000, 60000, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")


class Stack:
    """`earthloom` on one home, as a person calls it."""

    def __init__(self, home: Path, checkout: Path = ROOT) -> None:
        self.home, self.checkout = home, checkout
        self.port = free_ports(STORE_PORTS + 2)
        self.ports = (
            "--port", str(self.port), "--database-port", str(self.port + 1), "--store-port", str(self.port + 2),
        )  # fmt: skip
        drop = ("PREFECT_", "EARTHLOOM_", "AWS_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(drop)} | {
            "EARTHLOOM_HOME": str(home),
            "PREFECT_HOME": str(home / "client"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    @property
    def services(self) -> Path:
        return self.home / "services"

    def variables(self) -> dict[str, str]:
        """What `source env.sh` sets."""
        shell = f". {self.services / 'env.sh'}; env -0"
        done = subprocess.run(["sh", "-c", shell], env={}, capture_output=True, text=True, check=True)
        return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)

    def call(self, *words: str, sourced: bool = False, fails: bool = False) -> "subprocess.CompletedProcess[str]":
        """`earthloom WORDS`; with `sourced`, in a shell that works with the services."""
        done = subprocess.run(
            [sys.executable, "-m", "earthloom", *words],
            cwd=self.checkout,
            env=self.environment | (self.variables() if sourced else {}) | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert (done.returncode != 0) == fails, f"{words}\n{done.stdout}\n{done.stderr}"
        return done


@contextmanager
def stack() -> Iterator[Stack]:
    """A home that PostgreSQL's own user may enter, as pytest's folders are not; nothing is left running."""
    skip_without_programs()
    home = Path(tempfile.mkdtemp(prefix="earthloom-"))
    home.chmod(0o755)
    made = Stack(home)
    try:
        yield made
    finally:
        made.call("down")
        shutil.rmtree(home, ignore_errors=True)

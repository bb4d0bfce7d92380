"""A checkout that a person works in, without a server."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.end_to_end.faults.hosts import in_home


class Checkout:
    """A checkout, and the environment of who works in it."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.home, self.orders = root, folder / "earthloom", folder / "orders"
        self.orders.mkdir(parents=True)
        drop = ("PREFECT_", "EARTHLOOM_", "AWS_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(drop)} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "PREFECT_HOME": str(folder / "prefect"),
            "EARTHLOOM_HOME": str(self.home),
            "EARTHLOOM_DRILL": str(self.orders),
            "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
        }

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """`python -m WORDS` in it."""
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(self, *words: str, fails: bool = False) -> str:
        """`python -m WORDS` in it; what it printed."""
        process = self.start(*words)
        printed, _ = process.communicate(timeout=400)
        assert (process.returncode != 0) == fails, printed
        return printed

    def earthloom(self, *words: str, fails: bool = False) -> str:
        return self.call("earthloom", *words, fails=fails)

    def left(self, seconds: float = 40.0) -> list[str]:
        """Processes that still run after so long."""
        deadline = time.monotonic() + seconds
        while (found := in_home(self.home)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [f"{process.pid}: {' '.join(process.cmdline())[:200]}" for process in found]

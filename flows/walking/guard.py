"""A process that outlives a walk by as long as it takes to end the walk's commands, however the walk ended.

It holds the other end of a pipe: the kernel closes it when the walk's process is gone, killed or not. Commands are
known by a variable in their environment, which their children inherit, also those that have left their group.
"""

import os
import secrets
import signal
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

VARIABLE = "EARTHLOOM_WALK"
"""Holds a token of the process whose commands are to end with it."""


@cache
def token(grace: float) -> str:
    """This process's token; from now on, what has it in its environment is ended once this process is gone."""
    mine = secrets.token_hex(16)
    read, _write = os.pipe()  # `_write` stays open for as long as this process lives, and no child inherits it
    null = os.open(os.devnull, os.O_WRONLY)
    os.posix_spawn(
        sys.executable,
        [sys.executable, __file__, mine, str(grace)],
        {name: value for name, value in os.environ.items() if name != VARIABLE},
        file_actions=[(os.POSIX_SPAWN_DUP2, read, 0), *((os.POSIX_SPAWN_DUP2, null, number) for number in (1, 2))],
        setsid=True,  # a signal to the terminal's group is not for it
    )
    os.close(read)
    os.close(null)
    return mine


def members(mine: str) -> list[psutil.Process]:
    """Processes that have the token, or one that begins with it, in their environment."""
    wanted = f"{VARIABLE}={mine}".encode()
    found = []
    for pid in psutil.pids():
        with suppress(OSError, psutil.Error):
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if pid != os.getpid() and any(word.startswith(wanted) for word in words):
                found.append(psutil.Process(pid))
    return [process for process in found if _runs(process)]


def end(mine: str, grace: float) -> None:
    """Ask every process with the token to end, and kill those that have not after `grace` seconds."""
    asked: set[int] = set()
    deadline = time.monotonic() + grace
    while left := members(mine):
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for process in left:
            if number == signal.SIGKILL or process.pid not in asked:
                asked.add(process.pid)
                with suppress(psutil.Error):
                    process.send_signal(number)
        time.sleep(0.05)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def main() -> None:
    """Wait until the walk's process is gone."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(sys.argv[1], float(sys.argv[2]))
    time.sleep(0.2)  # one that was just being started did not have its environment yet
    end(sys.argv[1], 0.0)


if __name__ == "__main__":
    main()

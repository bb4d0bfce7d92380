"""Several processes for one stage, started by the stage itself: one a GPU, or as many as the environment says.

So the command in dvc.yaml, and what DVC records of it, are the same on every machine. torchrun would do for the start,
but not for the end: it gives training 30 s to write a checkpoint, takes exit code 75 for a failure, puts the processes
where a signal to the stage's group does not reach them, and shows an error once a process. What it gives them to meet
by is kept: a store on loopback, at a port that the system chose.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.core.errors import EarthloomError, ParamsError, TrainingError
from tasks.core.lifeline import die_with
from tasks.core.stage import storage_errors
from tasks.training.stopping import StoppedError, stop_on_sigterm

if TYPE_CHECKING:
    from tasks.training.params import RunParams

logger = logging.getLogger(__name__)
PROCESSES = "EARTHLOOM_PROCESSES"
"""Variable of the environment: how many processes train; as many as there are GPUs where it is not set."""
LAUNCHER = "EARTHLOOM_LAUNCHER"
"""Of a started process: the process id of the one that started it, and the pipe to report to, `12:5`."""
LEASE = "EARTHLOOM_LEASE"
"""Descriptors to hand on to started processes, by which devices are known to be in use (flows/gpu/leases.py)."""
SETTLE = 10.0
"""Seconds that the other processes have to end once one has."""
POLL = 0.05
MAX_REPORT = 32_768
"""Bytes of a report: what a pipe holds without a reader, halved."""


def processes(common: "RunParams") -> int:
    """How many processes this one has to start; 1 for none, because it trains by itself.

    Raises:
        ParamsError: `EARTHLOOM_PROCESSES` is no number.
        TrainingError: it asks for more than there are GPUs, or CPU cores where there is no GPU, or for several where
            `train.common.parallel` is none.
    """
    if "RANK" in os.environ:  # started by torchrun, or by `launch`
        return 1
    import torch

    gpus = 0 if common.device == "cpu" else torch.cuda.device_count()
    text = os.environ.get(PROCESSES, "").strip()
    if not text:
        return _by_devices(common, gpus)
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ParamsError(f"{PROCESSES} is '{text}'; it takes a whole number from 1, or is left out for one a GPU")
    number, limit = int(text), gpus or len(os.sched_getaffinity(0))
    if number > limit:
        raise TrainingError(
            f"{PROCESSES} asks for {number} processes, but there are {limit} {'GPUs' if gpus else 'CPU cores'} here; "
            "ask for no more than that"
        )
    if number > 1 and common.parallel == "none":
        raise TrainingError(
            f"{PROCESSES} asks for {number} processes, but train.common.parallel is none; use ddp, or fsdp where the "
            "model does not fit"
        )
    return number


def _by_devices(common: "RunParams", gpus: int) -> int:
    number = max(gpus, 1)
    if common.parallel == "none":
        number, reason = 1, "train.common.parallel is none"
    elif common.parallel == "ddp":
        # A process without a pack would only wait for the others.
        number, reason = min(number, common.batch), f"a step has {common.batch} packs (train.common.batch)"
    if number < gpus:
        logger.warning("training on %d of %d GPUs: %s", number, gpus, reason)
    return number


@dataclass
class _Process:
    """One that was started."""

    rank: int
    process: "subprocess.Popen[bytes]"
    pipe: int

    def report(self) -> Mapping[str, Any]:
        """What it has reported: `result`, or `error` and more; nothing if it was killed."""
        with suppress(BlockingIOError, ValueError), open(self.pipe, "rb", closefd=False, buffering=0) as pipe:
            found: dict[str, Any] = json.loads(pipe.read(MAX_REPORT) or b"{}")
            return found
        return {}


def launch(number: int, module: str, arguments: Sequence[str]) -> Any:
    """Run `python -m module arguments` as processes that train together, and wait for them.

    SIGTERM is passed on to them. None is left when this returns, or when this process is killed.

    Returns:
        What the first of them gave to `reporting`.

    Raises:
        StoppedError: SIGTERM came.
        EarthloomError: what the first that failed says.
    """
    from torch._C._distributed_c10d import TCPStore  # as in distributed.py: torch does not export it to type checkers

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    logger.info("training on %d processes", number)
    started: list[_Process] = []
    with stop_on_sigterm() as stop:
        stop.stepping = True  # noted here, passed on below
        try:
            for rank in range(number):
                started.append(_start(rank, number, port, [sys.executable, "-m", module, *arguments]))
            forwarded, first_end = False, 0.0
            while any(one.process.poll() is None for one in started):
                time.sleep(POLL)
                if stop.asked and not forwarded:
                    forwarded = True
                    for one in started:
                        one.process.terminate()
                codes = [one.process.poll() for one in started]
                if not first_end and any(code is not None for code in codes):
                    first_end = time.monotonic()
                # After a good end too: all of them have waited for one another just before.
                if first_end and time.monotonic() > first_end + SETTLE:
                    break
        finally:
            ends = {one.rank: one.process.poll() for one in started}
            for one in started:
                one.process.kill()
                one.process.wait()
    del store  # it served until here
    reports = {one.rank: one.report() for one in started}
    for one in started:
        os.close(one.pipe)
    if not all("result" in report for report in reports.values()):
        raise _error(ends, reports, stop.asked)
    return reports[0]["result"]


def _start(rank: int, number: int, port: int, command: Sequence[str]) -> _Process:
    read, write = os.pipe()
    os.set_blocking(read, False)
    threads = max(1, len(os.sched_getaffinity(0)) // number)
    environment = {
        "OMP_NUM_THREADS": str(threads),
        # One machine: nothing of it is for the network.
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(number),
        "LOCAL_WORLD_SIZE": str(number),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # As torchrun's: the store is there, no process has to open one.
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        LAUNCHER: f"{os.getpid()}:{write}",
    }
    process = subprocess.Popen(command, env=environment, pass_fds=[write, *_lease()], stdin=subprocess.DEVNULL)
    os.close(write)
    return _Process(rank, process, read)


def _lease() -> Iterator[int]:
    for text in os.environ.get(LEASE, "").split(","):
        with suppress(ValueError, OSError):  # the variable may have come further than what it names
            os.fstat(int(text))
            yield int(text)


def _error(ends: Mapping[int, int | None], reports: Mapping[int, Mapping[str, Any]], stopped: bool) -> EarthloomError:
    """One error for all processes: of those that failed the first, and not one that failed because of it."""
    said = sorted((report["at"], rank, report) for rank, report in reports.items() if "error" in report)
    ours = [report for _, _, report in said if report["kind"] != "other" and report["kind"] != "stopped"]
    if ours:
        error = EarthloomError(ours[0]["error"])
        error.exit_code = ours[0]["exit_code"]
        return error
    stops = [report["error"] for _, _, report in said if report["kind"] == "stopped"]
    if stopped and (stops or all(code in (None, 0, -signal.SIGTERM) for code in ends.values())):
        return StoppedError(stops[0] if stops else "asked to stop before the first step; the same command begins again")
    for rank, code in ends.items():
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            memory = "; it may be that memory was full" if code == -signal.SIGKILL else ""
            return TrainingError(
                f"process {rank} of {len(ends)} was ended by {name}{memory}. The same command goes on from the last "
                "checkpoint"
            )
    if said:
        _, rank, report = said[0]
        return TrainingError(f"process {rank} of {len(ends)} failed:\n{report['error']}")
    return TrainingError(f"of {len(ends)} processes some ended without a word (exit codes: {list(ends.values())})")


@contextmanager
def reporting() -> Iterator[dict[str, Any]]:
    """Around what each process does. In one that `launch` started, its result or its error goes to that process.

    The block puts what the stage returns under `result`. Without `launch` nothing is done.
    """
    launcher = os.environ.pop(LAUNCHER, None)
    result: dict[str, Any] = {}
    if launcher is None:
        yield result
        return
    parent, pipe = (int(number) for number in launcher.split(":"))
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launcher too, which ends this
    if os.environ["RANK"] != "0":
        logging.disable(logging.WARNING)  # all of them would say the same
    try:
        with storage_errors():
            yield result
    except StoppedError as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it may come twice, to the group and from the launcher
        _report(pipe, kind="stopped", error=str(error))
        raise SystemExit(error.exit_code) from None
    except EarthloomError as error:
        _report(pipe, kind="ours", error=str(error), exit_code=error.exit_code)
        raise SystemExit(error.exit_code) from None
    except Exception:
        _report(pipe, kind="other", error=traceback.format_exc()[-MAX_REPORT // 4 :])
        raise SystemExit(1) from None
    _report(pipe, **result)


def _report(pipe: int, **values: Any) -> None:
    text = json.dumps({"at": time.monotonic(), **values}).encode()
    with suppress(OSError):  # nobody is left to read it
        os.write(pipe, text)

"""Leases of a host's devices: two runs never train on the same GPU, whatever flow, worker or workspace they are of.

A lease is a lock of the kernel's (flock) on a file a device. The command inherits it, and so do the processes that the
command starts: it ends with the last of them, also where all are killed. Nothing has to be swept up.
"""

import fcntl
import json
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.core.errors import FlowError
from tasks.training.launch import LEASE

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
CPU = "cpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"
GPU_LINE = re.compile(r"GPU (?P<index>\d+): .*\(UUID: (?P<uuid>GPU-[0-9a-f-]+)\)")
MIG_LINE = re.compile(r"\s+MIG .*\(UUID: (?P<uuid>MIG-[0-9A-Za-z/-]+)\)")
POLL = 0.5
"""Seconds between two looks at devices that are taken."""


@dataclass(frozen=True)
class Lease:
    """Devices that are this run's, and what its command is to be started with."""

    devices: tuple[str, ...]
    """UUIDs of GPUs; where there are none `cpu`, or some of the `processors`."""
    descriptors: tuple[int, ...]
    """For `pass_fds` of subprocess.Popen: while a process has them, the lease holds."""

    @property
    def environment(self) -> Mapping[str, str]:
        """For the command: which devices it sees, and which descriptors it hands on to processes of its own."""
        lease = {LEASE: ",".join(str(number) for number in self.descriptors)}
        return (
            lease
            if all(device.startswith(CPU) for device in self.devices)
            else {VISIBLE: ",".join(self.devices), **lease}
        )


@contextmanager
def leased(
    folder: Path,
    run: str,
    devices: Sequence[str] | None = None,
    count: int | None = None,
    logger: Logger | None = None,
) -> Iterator[Lease]:
    """Devices of this host for one run, waited for until they are free. All at once: no two runs wait for each other.

    The lease ends when the block has ended and every process that inherited it as well.

    Args:
        folder: the host's folder of leases; made if need be. The same for all who share the devices.
        run: what those who wait are shown: a flow run's name, an address.
        devices: to choose from; `devices_here()` by default.
        count: how many of them; all by default.
        logger: says whom this waits for.

    Raises:
        FlowError: there are fewer devices than that.
    """
    found = tuple(devices_here() if devices is None else devices)
    wanted = len(found) if count is None else count
    if not 1 <= wanted <= len(found):
        raise FlowError(f"{wanted} devices are asked for, and there are {len(found)} here: {', '.join(found)}")
    folder.mkdir(parents=True, exist_ok=True)
    logger, said = logger or logging.getLogger(__name__), ""
    with ExitStack() as held:
        while True:
            taken, busy = _take(folder, found, wanted)
            if len(taken) == wanted:
                break
            for descriptor in taken.values():
                os.close(descriptor)
            message = f"waiting for {wanted} of {', '.join(found)}: {'; '.join(_holder(folder, one) for one in busy)}"
            if message != said:
                logger.info("%s", message)
                said = message
            time.sleep(POLL)
        for descriptor in taken.values():
            held.callback(os.close, descriptor)
            note = json.dumps({"pid": os.getpid(), "run": run}).encode()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note, 0)
        yield Lease(tuple(taken), tuple(taken.values()))


def devices_here(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """UUIDs of the GPUs that this process may use, of MIG parts where a GPU is cut into them; `cpu` if there are none.

    Args:
        environment: its `CUDA_VISIBLE_DEVICES` narrows them down.

    Raises:
        FlowError: nvidia-smi fails, or `CUDA_VISIBLE_DEVICES` names what is not there.
    """
    visible = environment.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return (CPU,)
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        if visible is not None:
            raise FlowError(f"{VISIBLE} is {visible}, but there is no nvidia-smi here that would list GPUs; unset it")
        return (CPU,)
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
    if listed.returncode:
        raise FlowError(
            f"nvidia-smi fails ({(listed.stdout + listed.stderr).strip()}), so the GPUs are not known. Put the driver "
            f"right, or set {VISIBLE} to nothing to train on the CPU"
        )
    gpus = _parse(listed.stdout)
    if visible is None:
        return tuple(part for parts in gpus.values() for part in parts) or (CPU,)
    return tuple(part for name in visible.split(",") for part in _named(name.strip(), gpus))


def processors() -> tuple[str, ...]:
    """The processors that this process may use, as devices: of a host without GPUs."""
    return tuple(f"{CPU}-{number}" for number in range(len(os.sched_getaffinity(0))))


def _parse(listing: str) -> dict[str, tuple[str, ...]]:
    """`nvidia-smi -L`: UUID of a GPU -> what of it can be used, in the order of their numbers."""
    gpus: dict[str, tuple[str, ...]] = {}
    parts: dict[str, tuple[str, ...]] = {}
    for line in listing.splitlines():
        if match := GPU_LINE.match(line):
            gpu = match["uuid"]
            gpus[gpu] = (gpu,)
        elif (match := MIG_LINE.match(line)) and gpus:
            parts[gpu] = (*parts.get(gpu, ()), match["uuid"])
    return gpus | parts


def _named(name: str, gpus: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Devices that an entry of CUDA_VISIBLE_DEVICES names: by number, UUID, or the beginning of one."""
    if name.isascii() and name.isdigit() and int(name) < len(gpus):
        return list(gpus.values())[int(name)]
    everything = [*gpus, *(part for parts in gpus.values() for part in parts)]
    found = sorted({one for one in everything if name and one.startswith(name)})
    if len(found) != 1:
        raise FlowError(
            f"{VISIBLE} names '{name}', which is none of the GPUs here: {', '.join(gpus) or 'there are none'}"
        )
    return gpus.get(found[0], (found[0],))


def _take(folder: Path, devices: Sequence[str], wanted: int) -> tuple[dict[str, int], list[str]]:
    """(device -> descriptor of its lock, at most `wanted` of them; devices that somebody else has)."""
    taken: dict[str, int] = {}
    busy = []
    for device in devices:
        if len(taken) == wanted:
            break
        descriptor = os.open(_file(folder, device), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            busy.append(device)
        else:
            taken[device] = descriptor
    return taken, busy


def _file(folder: Path, device: str) -> Path:
    return folder / f"{device.lower().replace('/', '-')}.lock"


def _holder(folder: Path, device: str) -> str:
    """`GPU-8f1b... is held by process 4711 of train@1`."""
    try:
        note = json.loads(_file(folder, device).read_text())
        pid, run = int(note["pid"]), str(note["run"])
    except (OSError, ValueError, TypeError, KeyError):
        return f"{device} has just been taken"
    if psutil.pid_exists(pid):
        return f"{device} is held by process {pid}, {run}"
    return f"{device} is held by a command that {run} left running when its process {pid} was killed"

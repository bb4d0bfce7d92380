"""Leases of devices, by real processes that take, inherit and lose them. The GPUs are names: none is needed."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.gpu.leases import devices_here, leased
from tasks.core.errors import FlowError

REPOSITORY = Path(__file__).parents[3]
HOLD = """
import subprocess, sys
from pathlib import Path
from flows.gpu.leases import leased
with leased(Path(sys.argv[1]), "retrain of Monday", sys.argv[2].split(","), int(sys.argv[3])) as lease:
    command = None
    if sys.argv[4:]:
        command = subprocess.Popen(["sleep", "600"], pass_fds=lease.descriptors)
    print(",".join(lease.devices), command.pid if command else 0, flush=True)
    sys.stdin.read()
"""
LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaaaaaa-2222-3333-4444-555555555555)
  MIG 3g.20gb     Device  0: (UUID: MIG-bbbbbbbb-2222-3333-4444-555555555555)
  MIG 3g.20gb     Device  1: (UUID: MIG-cccccccc-2222-3333-4444-555555555555)
"""
H100 = "GPU-11111111-2222-3333-4444-555555555555"
MIGS = ("MIG-bbbbbbbb-2222-3333-4444-555555555555", "MIG-cccccccc-2222-3333-4444-555555555555")


@contextmanager
def holder(folder: Path, devices: str, count: int, *command: str) -> Iterator[tuple["subprocess.Popen[str]", str, int]]:
    """Another run that has leased devices: its process, the devices, and the process id of its command."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), devices, str(count), *command],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        taken, pid = process.stdout.readline().split()
        yield process, taken, int(pid)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Waited(logging.Handler):
    """Notes what a run that waits says, and lets a test wait for that."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.heard = threading.Event()
        self.logger = logging.Logger("leases")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Note one line."""
        self.said.append(record.getMessage())
        self.heard.set()


@contextmanager
def taking(folder: Path, devices: str, count: int | None = None) -> Iterator[tuple[Waited, list[str]]]:
    """A run that asks for devices, in a thread, and waits: what it says, and what it has got."""
    waited, got = Waited(), list[str]()

    def take() -> None:
        with leased(folder, "this run", devices.split(","), count, waited.logger) as lease:
            got.extend(lease.devices)

    thread = threading.Thread(target=take)
    thread.start()
    waited.heard.wait()
    yield waited, got
    thread.join()


def test_a_second_run_waits_says_for_whom_and_goes_on_when_that_one_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path, "cpu", 1) as (process, _, _), taking(tmp_path, "cpu") as (waited, got):
        assert got == []
        process.kill()
    assert got == ["cpu"]
    assert waited.said == [f"waiting for 1 of cpu: cpu is held by process {process.pid}, retrain of Monday"]


def test_a_lease_holds_until_the_last_process_of_its_command_has_ended(tmp_path: Path) -> None:
    with holder(tmp_path, "cpu", 1, "sleep") as (process, _, command):
        process.kill()
        process.wait()
        with taking(tmp_path, "cpu") as (waited, got):
            assert got == []
            os.kill(command, 9)
        assert got == ["cpu"]
        assert "a command that retrain of Monday left running" in waited.said[0]


def test_two_runs_that_want_one_device_each_have_two_different_ones_and_a_third_waits(tmp_path: Path) -> None:
    with holder(tmp_path, "GPU-a,GPU-b", 1) as (_, first, _), holder(tmp_path, "GPU-a,GPU-b", 1) as (_, second, _):
        assert {first, second} == {"GPU-a", "GPU-b"}
        with taking(tmp_path, "GPU-a,GPU-b", 1) as (waited, got):
            assert "retrain of Monday; GPU-b is held by" in waited.said[0]
            os.kill(int(waited.said[0].rpartition("process ")[2].partition(",")[0]), 9)
        assert got == ["GPU-b"]


def test_who_wants_all_holds_none_while_waiting(tmp_path: Path) -> None:
    with holder(tmp_path, "GPU-b", 1) as (process, _, _), taking(tmp_path, "GPU-a,GPU-b") as (_, got):
        with leased(tmp_path, "a small run", ["GPU-a"]) as lease:
            assert lease.devices == ("GPU-a",)
            assert lease.environment["CUDA_VISIBLE_DEVICES"] == "GPU-a"
        process.kill()
    assert got == ["GPU-a", "GPU-b"]


def test_a_lease_of_the_cpu_sets_no_devices_and_more_than_there_are_is_refused(tmp_path: Path) -> None:
    with leased(tmp_path, "run", ["cpu"]) as lease:
        assert "CUDA_VISIBLE_DEVICES" not in lease.environment
    with (
        pytest.raises(FlowError, match="2 devices are asked for, and there are 1 here: cpu"),
        leased(tmp_path, "run", ["cpu"], 2),
    ):
        pass


@pytest.fixture
def listing(tmp_path: Path) -> dict[str, str]:
    """An environment with a program nvidia-smi that prints what a machine with two GPUs prints (simulated)."""
    (tmp_path / "listing").write_text(LISTING)
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nexec /bin/cat {tmp_path}/listing\n")
    program.chmod(0o755)
    return {"PATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, (H100, *MIGS)),
        ("0", (H100,)),
        ("1,0", (*MIGS, H100)),
        ("GPU-1111", (H100,)),
        (MIGS[1], (MIGS[1],)),
        ("", ("cpu",)),
        ("-1", ("cpu",)),
    ],
)
def test_devices_are_those_the_driver_lists_and_the_environment_lets_through(
    visible: str | None, expected: tuple[str, ...], listing: dict[str, str]
) -> None:
    environment = listing if visible is None else {**listing, "CUDA_VISIBLE_DEVICES": visible}
    assert devices_here(environment) == expected


@pytest.mark.parametrize("visible", ["2", "GPU-9", "x", "0,,1"])
def test_a_device_that_is_not_there_is_named(visible: str, listing: dict[str, str]) -> None:
    with pytest.raises(FlowError, match="none of the GPUs here"):
        devices_here({**listing, "CUDA_VISIBLE_DEVICES": visible})


def test_a_driver_that_fails_is_not_taken_for_a_machine_without_gpus(listing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "listing").unlink()
    with pytest.raises(FlowError, match="nvidia-smi fails"):
        devices_here(listing)
    assert devices_here({"PATH": str(tmp_path / "nowhere")}) == ("cpu",)

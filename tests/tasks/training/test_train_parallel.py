"""Training on several processes: real ones, that talk over loopback (gloo), killed in the middle."""

import contextlib
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from tasks import mixture, stats, tokenizer, train
from tasks.core import paths
from tests.fixtures.small_dataset import ROOT, write_dataset, write_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SENSORS = ["sentinel-2", "sentinel-1"]
STEPS = 14
COMMON = {
    "batch": 3, "max_length": 256, "checkpoint_every": 3, "log_every": 1, "eval_every": 7, "eval_samples": 8,
}  # fmt: skip
WORK = Path(".earthloom/work/train@3")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset on which stages 1 and 2 were trained for a step, and stage 3 on one process to its end."""
    folder = tmp_path_factory.mktemp("parallel")
    write_dataset(folder, 16, tuple(SENSORS))
    stages: dict[str, Any] = {f"stage{stage}": {"max_steps": steps} for stage, steps in ((1, 1), (2, 1), (3, STEPS))}
    write_params(folder, SENSORS, train={"common": COMMON, **stages})
    with contextlib.chdir(folder):
        for sensor in SENSORS:
            stats.run(sensor)
        tokenizer.run()
        for stage in ("1", "2", "3"):
            mixture.run(stage)
            train.run(stage)
    return folder


def copy(prepared: Path, folder: Path, **common: Any) -> Path:
    """The dataset again, before stage 3, with other parameters."""
    shutil.copytree(prepared, folder)
    shutil.rmtree(folder / paths.train("3"))
    shutil.rmtree(folder / WORK)
    stages: dict[str, Any] = {f"stage{stage}": {"max_steps": steps} for stage, steps in ((1, 1), (2, 1), (3, STEPS))}
    write_params(folder, SENSORS, train={"common": COMMON | common, **stages})
    return folder


def launch(folder: Path, processes: int) -> "subprocess.Popen[str]":
    """`torchrun -m tasks.train --stage 3` on some processes, started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-addr", "127.0.0.1"]
    command = [sys.executable, *torchrun, "--master-port", str(port), "-m", "tasks.train", "--stage", "3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    output = (folder / "output").open("a")
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, text=True)


def finish(run: "subprocess.Popen[str]", folder: Path) -> None:
    """Wait for the end of a run, which must be a good one."""
    assert run.wait() == 0, (folder / "output").read_text()[-3000:]


def kill_after(run: "subprocess.Popen[str]", checkpoint: Path) -> None:
    """SIGKILL to every process of a run as soon as a checkpoint is there."""
    while not checkpoint.exists():
        assert run.poll() is None, "the run ended before it was killed"
        time.sleep(0.005)
    for process in [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    run.wait()


def seen(folder: Path) -> dict[int, tuple[int, int]]:
    """(samples, digest of which they were) of each step; a step that was done again counts as it was last done."""
    lines = [json.loads(line) for line in (folder / WORK / "progress.jsonl").read_text().splitlines()]
    return {line["step"]: (line["samples"], line["samples_digest"]) for line in lines}


def rows(folder: Path) -> list[dict[str, float]]:
    """log.csv, numbers only."""
    log = csv.DictReader((folder / paths.train("3") / "log.csv").open())
    return [{key: float(value) for key, value in row.items() if value} for row in log]


def assert_alike(folder: Path, other: Path) -> None:
    """The same samples in each step; losses and weights but for the order in which numbers are added."""
    assert seen(folder) == seen(other)
    for row, expected in zip(rows(folder), rows(other), strict=True):
        assert row == pytest.approx(expected, rel=2e-3)
    weights, expected_weights = (load_file(f / paths.train("3") / "model.safetensors") for f in (folder, other))
    assert weights.keys() == expected_weights.keys()
    apart = max(float((weights[name] - expected_weights[name]).abs().max()) for name in weights)
    assert apart < 0.01


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_train_as_one_does(parallel: str, prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / parallel, parallel=parallel)
    finish(launch(folder, 2), folder)
    assert_alike(folder, prepared)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_killed_and_resumed_on_another_number_of_processes_no_sample_is_lost_or_seen_twice(
    parallel: str, prepared: Path, tmp_path: Path
) -> None:
    folder = copy(prepared, tmp_path / parallel, parallel=parallel)
    kill_after(launch(folder, 2), folder / WORK / "step-00000003")
    kill_after(launch(folder, 1), folder / WORK / "step-00000009")
    finish(launch(folder, 2), folder)
    output = (folder / "output").read_text()
    assert output.count("going on after step") >= 3  # once alone, then on both processes
    assert_alike(folder, prepared)

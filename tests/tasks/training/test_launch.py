"""Training that starts its own processes: as many as the environment says, ended with it, one error for all."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from tasks import mixture, stats, tokenizer
from tasks.core import paths
from tasks.core.errors import EarthloomError
from tasks.training import launch
from tasks.training.params import load_recipe
from tests.fixtures.small_dataset import ROOT, write_dataset, write_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SENSORS = ["sentinel-2"]
STEPS = 8
COMMON = {
    "batch": 2, "max_length": 256, "checkpoint_every": 100, "log_every": 1, "eval_every": 4, "eval_samples": 8,
}  # fmt: skip
WORK = Path(".earthloom/work/train@1")
PROJECT = """\
stages:
  train:
    foreach: { "1": { from: data/tokenizer } }
    do:
      cmd: python -m tasks.train --stage ${key}
      deps: ["${item.from}", "data/mixture/${key}", data/stats]
      params: [model, train.common, "train.stage${key}"]
      outs: ["data/train/${key}"]
      metrics: ["data/summary/train@${key}.json"]
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project on which one process has trained stage 1 to its end."""
    folder = tmp_path_factory.mktemp("launch")
    write_dataset(folder, 16, tuple(SENSORS))
    write_params(folder, SENSORS, train={"common": COMMON, "stage1": {"max_steps": STEPS}})
    with contextlib.chdir(folder):
        for sensor in SENSORS:
            stats.run(sensor)
        tokenizer.run()
        mixture.run("1")
    (folder / "dvc.yaml").write_text(PROJECT)
    for line in ("git init -q", "dvc init -q", "dvc config core.analytics false", "dvc repro -q"):
        shell(folder, line, 1)
    return folder


def shell(folder: Path, line: str, processes: int) -> None:
    """Run a command, which must succeed."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        line.split(), cwd=folder, env=environment(processes) | {"PATH": programs}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def copy(prepared: Path, folder: Path, **common: Any) -> Path:
    """The dataset again, before stage 1, with other parameters."""
    shutil.copytree(prepared, folder)
    shutil.rmtree(folder / paths.train("1"))
    shutil.rmtree(folder / WORK)
    write_params(folder, SENSORS, train={"common": COMMON | common, "stage1": {"max_steps": STEPS}})
    return folder


def environment(processes: int) -> dict[str, str]:
    """That of a stage which is to train on some processes."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", launch.PROCESSES: str(processes)}


def start(folder: Path, processes: int) -> "subprocess.Popen[bytes]":
    """The command of dvc.yaml, started in a session of its own, as a flow does."""
    with (folder / "output").open("a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tasks.train", "--stage", "1"],
            cwd=folder,
            env=environment(processes),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    """The last of what the stage printed."""
    return (folder / "output").read_text()[-3000:]


def wait_for_step(run: "subprocess.Popen[bytes]", folder: Path, step: int) -> None:
    """Until a step is logged."""
    log = folder / WORK / "progress.jsonl"
    while not log.exists() or f'"step": {step},' not in log.read_text():
        assert run.poll() is None, said(folder)
        time.sleep(0.005)


def weights(folder: Path) -> dict[str, Any]:
    """Of the trained stage."""
    return dict(load_file(folder / paths.train("1") / "model.safetensors"))


def assert_same_weights(folder: Path, other: Path) -> None:
    """Bit by bit."""
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) == 0


def test_two_processes_leave_the_same_weights_and_the_same_lock_entry_as_one(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / "two")
    (folder / "dvc.lock").unlink()
    shutil.rmtree(folder / ".dvc/cache")  # where the result of the one process would be taken from
    shell(folder, "dvc repro -q", 2)
    assert_same_weights(folder, prepared)
    assert (folder / "dvc.lock").read_text() == (prepared / "dvc.lock").read_text()


def test_stopped_with_two_processes_it_goes_on_with_one_to_the_same_weights(prepared: Path, tmp_path: Path) -> None:
    # Without answers for those who watch, which must not change what is learnt.
    folder = copy(prepared, tmp_path / "stopped", workers=1, eval_answers=0)
    run = start(folder, 2)
    wait_for_step(run, folder, 2)
    os.killpg(run.pid, signal.SIGTERM)  # as a flow does; those that read for them are asked nothing
    assert run.wait() == 75, said(folder)
    assert said(folder).count("a checkpoint is written") == 1
    assert "Traceback" not in said(folder)
    assert not (folder / paths.train("1")).exists()
    assert list((folder / WORK).glob("step-*/progress.json"))
    run = start(folder, 1)
    assert run.wait() == 0, said(folder)
    assert "going on after step" in said(folder)
    assert_same_weights(folder, prepared)


def test_stopped_before_its_first_step_it_asks_to_be_run_again(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / "early")
    run = start(folder, 2)
    while len(psutil.Process(run.pid).children()) < 2:
        time.sleep(0.005)
    run.terminate()
    assert run.wait() == 75, said(folder)
    assert "Traceback" not in said(folder)


def test_a_killed_stage_leaves_no_process_behind(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / "killed", workers=1)
    run = start(folder, 2)
    wait_for_step(run, folder, 1)
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 4  # two that train, each with one that reads
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


def test_an_error_of_the_processes_comes_out_once(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / "poor", max_length=32)
    assert start(folder, 2).wait() == 1
    assert said(folder).count("has no sample of up to 32 tokens") == 1
    assert "Traceback" not in said(folder)


def test_a_process_that_is_killed_is_named(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path / "victim")
    run = start(folder, 2)
    wait_for_step(run, folder, 1)
    psutil.Process(run.pid).children()[1].kill()
    assert run.wait() == 1
    assert "was ended by SIGKILL; it may be that memory was full" in said(folder)
    assert "Traceback" not in said(folder)


@pytest.mark.parametrize(
    ("asked", "common", "message"),
    [
        ("two", {}, "EARTHLOOM_PROCESSES is 'two'; it takes a whole number"),
        ("0", {}, "EARTHLOOM_PROCESSES is '0'"),
        ("-1", {}, "EARTHLOOM_PROCESSES is '-1'"),
        ("4096", {}, "asks for 4096 processes, but there are"),
        ("2", {"parallel": "none"}, "train.common.parallel is none"),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_name(
    asked: str, common: dict[str, Any], message: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launch.PROCESSES, asked)
    _, recipe = load_recipe()
    with pytest.raises(EarthloomError, match=message):
        launch.processes(recipe.common.model_copy(update=common))


def test_what_was_started_by_torchrun_starts_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv(launch.PROCESSES, "2")
    assert launch.processes(load_recipe()[1].common) == 1
